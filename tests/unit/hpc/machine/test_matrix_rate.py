"""The rate of the best product, without a trace in the random state."""

from __future__ import annotations

import time

import pytest
import torch
import torch.nn.functional as F

from hpc.machine.matrix_rate import matrix_rate

CPU = torch.device("cpu")


def test_the_best_of_all_products_and_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that only products move: the first try of each takes a second more."""
    now, tried = [0.0], list[tuple[int, ...]]()

    def linear(x: torch.Tensor, weight: torch.Tensor) -> None:
        now[0] += 2.0 if (shape := tuple(weight.shape)) in tried else 3.0
        tried.append(shape)

    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(F, "linear", linear)
    assert matrix_rate([(3, 4), (5, 6)], CPU, torch.float32, rows=10, repeats=2) == 2.0 * 10 * 5 * 6 / 2.0
    assert tried == [(4, 3), (4, 3), (6, 5), (6, 5)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_nothing_is_drawn(dtype: torch.dtype) -> None:
    before = torch.get_rng_state()
    assert matrix_rate([(8, 8)], CPU, dtype, rows=8) > 0
    assert torch.equal(before, torch.get_rng_state())
