"""What a card is made to do in a step: no plan of cuDNN, no wait before the end, and the same as on the processor."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from snw_dist.config import ModelName, ModelSection
from snw_dist.model.build import build_model
from snw_dist.model.legal_losses import loss_of
from snw_dist.model.pair import Side
from snw_dist.predict.batches import Target
from snw_dist.train.flat import Flat
from snw_dist.train.objective import Objective

CUDA = torch.device("cuda", 0)
PAIRS = 24
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.training,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]


def network(name: ModelName, device: torch.device, dtype: torch.dtype) -> nn.Module:
    section = dataclasses.replace(ModelSection(), name=name, dropout=0.0)
    return Flat(build_model(section, 48, seed=1)).to(device, dtype)


def batch(device: torch.device, seed: int = 0) -> tuple[list[Side], Target]:
    draw, sides = np.random.default_rng(seed), []
    for shortest, longest in ((8, 40), (41, 180)):
        lengths = np.sort(draw.integers(shortest, longest + 1, 16))
        states = torch.from_numpy(draw.standard_normal((16, int(lengths[-1]), 48), dtype=np.float32))
        mask = torch.arange(states.shape[1]) < torch.from_numpy(lengths)[:, None]
        index = torch.from_numpy(draw.integers(0, 16, PAIRS))
        sides.append(Side(states.to(device), mask.to(device), index.to(device), tuple(lengths.tolist())))
    ids = torch.arange(PAIRS, device=device)
    return sides, Target(torch.linspace(0, 1, PAIRS, device=device), ids, ids % 5, torch.ones(PAIRS, device=device))


def step(model: nn.Module, name: ModelName, sides: list[Side], target: Target) -> torch.Tensor:
    model.zero_grad()
    value, own = Objective(loss_of(name, "auto"), 2.0, 0.1, 1.0, "all").shared(model(*sides), target, PAIRS)
    value.backward()
    return own


class Operations(TorchDispatchMode):
    """Names of what torch is asked for, in the backward pass too."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(function.overloadpacket.__name__)
        return function(*args, **(kwargs or {}))


@contextmanager
def waiting_forbidden() -> Iterator[None]:
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("name", get_args(ModelName))
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype feature")
def test_a_step_in_16_bits_plans_nothing_and_waits_for_nothing(name: ModelName) -> None:
    model, (sides, target) = network(name, CUDA, torch.bfloat16), batch(CUDA)
    step(model, name, sides, target)
    with Operations() as found, waiting_forbidden():
        step(model, name, sides, target)
    assert not [key for key in found.names if "cudnn" in key or "convolution" in key], found.names
    assert {"addmm", "mm"} <= found.names, "of the forward and of the backward pass"


@pytest.mark.parametrize("name", get_args(ModelName))
def test_in_16_bits_a_network_is_as_near_as_16_bits_are(name: ModelName) -> None:
    exact = network(name, torch.device("cpu"), torch.float64)
    sides, target = batch(torch.device("cpu"))
    expected = float(step(exact, name, sides, target))
    right = next(exact.parameters()).grad
    assert right is not None
    for dtype, rounding in ((torch.float32, 1e-4), (torch.bfloat16, 0.2)):
        model, (there, known) = network(name, CUDA, dtype), batch(CUDA)
        found = float(step(model, name, there, known))
        gradient = next(model.parameters()).grad
        assert gradient is not None
        assert found == pytest.approx(expected, rel=rounding)
        assert float((gradient.cpu().double() - right).norm() / right.norm()) < rounding
