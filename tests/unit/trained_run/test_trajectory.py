"""How many micro-batches make up a step."""

from __future__ import annotations

import pytest

from snw_dist.trained_run.trajectory import accumulation_steps


@pytest.mark.parametrize(
    ("batch", "micro", "ranks", "steps"),
    [(128, 128, 1, 1), (128, 64, 2, 1), (128, 32, 2, 2), (100, 32, 3, 2), (1, 8, 8, 1)],
)
def test_accumulation_steps(batch: int, micro: int, ranks: int, steps: int) -> None:
    assert accumulation_steps(batch, micro, ranks) == steps
