"""The counter finds what torch's own finds, and also counts the attention of a processor, which that leaves out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hpc.machine.operations import counted


def test_forward_and_backward_as_torch_counts_them() -> None:
    network = nn.Sequential(nn.Conv1d(5, 6, 3, stride=2), nn.GELU(), nn.Flatten(), nn.Linear(24, 3))
    with FlopCounterMode(display=False) as peer:
        network(torch.randn(7, 5, 9)).sum().backward()
    with counted() as counter:
        network(torch.randn(7, 5, 9)).sum().backward()
    assert counter.total == peer.get_total_flops()
    assert counter.total == 2 * 7 * (2 * 4 * 3 * 5 * 6 + 3 * 24 * 3)  # the input of the first needs no gradient


def test_attention_counts_on_a_processor() -> None:
    query, key = torch.randn(2, 4, 10, 8, requires_grad=True), torch.randn(2, 4, 30, 8, requires_grad=True)
    with counted() as counter:
        F.scaled_dot_product_attention(query, key, key).sum().backward()
    assert counter.total == 3 * 2 * (2 * 2 * 4 * 10 * 30 * 8)


def test_what_is_done_afterwards_is_not_counted() -> None:
    with counted() as counter:
        torch.ones(2, 3) @ torch.ones(3, 4)
    torch.ones(2, 3) @ torch.ones(3, 4)
    assert counter.total == 48
