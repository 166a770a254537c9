"""Losses that compare pairs of a batch, on ranks that share it: values and gradients are those of one process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snw_dist.model.legal_losses import LOSSES
from tests.kit.ranks import run_ranks

pytestmark = pytest.mark.distributed


def shared(world_size: int, num_pairs: int, folder: Path) -> dict[str, Any]:
    for rank in run_ranks("tests.kit.trainings:shared_losses", world_size, {"num_pairs": num_pairs}, folder):
        assert rank.returncode == 0, rank.log
    found: list[dict[str, Any]] = [
        json.loads((folder / "job" / f"losses-rank{rank}.json").read_text()) for rank in range(world_size)
    ]
    assert all(of_rank == found[0] for of_rank in found)
    return found[0]


@pytest.mark.parametrize(("world_size", "num_pairs"), [(2, 16), (2, 13), (3, 16), (3, 2)])
def test_gradients_are_those_of_one_process(world_size: int, num_pairs: int, tmp_path: Path) -> None:
    """13 and 16 pairs fall unevenly; of two pairs the third rank has none."""
    alone = shared(1, num_pairs, tmp_path / "alone")
    together = shared(world_size, num_pairs, tmp_path / "together")
    assert set(alone) == set(together) == {f"{model} {loss}" for model, losses in LOSSES.items() for loss in losses}
    for name, expected in alone.items():
        assert together[name]["loss"] == pytest.approx(expected["loss"], rel=1e-5), name
        scale = max(1e-6, np.abs(expected["gradient"]).max())
        np.testing.assert_allclose(together[name]["gradient"], expected["gradient"], atol=2e-5 * scale, err_msg=name)
        if num_pairs > 2:
            assert expected["loss"] > 0, name
            assert np.abs(expected["gradient"]).max() > 0, name
