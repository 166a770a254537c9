"""Two ranks on two CUDA devices do what one does; `tests/distributed/test_two_ranks.py` does the same on processors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from snw_dist.config import Precision
from tests.kit.two_ranks import embedding_difference, training_differences

TOLERANCE: dict[Precision, float] = {"fp32": 1e-4, "bf16": 2e-2}
"""Of the loss: two ranks add up in another order."""
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.timeout(600),
    pytest.mark.skipif(torch.cuda.device_count() < 2, reason="fewer than two CUDA devices on this machine"),
]


@pytest.mark.encoder
def test_two_ranks_embed_as_one_does(tmp_path: Path) -> None:
    assert embedding_difference(tmp_path, "cuda") <= 1e-2


@pytest.mark.training
@pytest.mark.parametrize("precision", TOLERANCE)
def test_two_ranks_train_as_one_does_in_every_stage(tmp_path: Path, precision: Precision) -> None:
    """Their gradients and weights go over NCCL."""
    found = training_differences(tmp_path, "cuda", precision)
    print({name: f"{value:.1e}" for name, value in found.items()})  # noqa: T201 - for whoever runs it
    assert max(found.values()) <= TOLERANCE[precision]
