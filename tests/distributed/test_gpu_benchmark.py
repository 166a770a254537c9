"""The parts of the benchmark of one GPU that start ranks run on a processor too, at a scale that says nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.gpu import job, train
from tests.bench.gpu.scale import TINY

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(600)]


def test_the_embedding_jobs_part_runs(tmp_path: Path) -> None:
    found = job.measure(TINY, tmp_path)
    assert found["residues_per_s"] > 0
    assert found["share_of_encoder"] > 0
    assert found["around_it_s"] > 0


def test_the_trainings_part_runs(tmp_path: Path) -> None:
    """The job itself, cold and warm, and every peer."""
    [found] = train.measure(TINY, tmp_path).values()
    peers = {f"{source} {precision}" for source in ("grouped", "padded", "files") for precision in ("fp32", "bf16")}
    assert set(found) == {"fp32", "bf16"} | peers
    assert all(one["cold"] > 0 and one["warm"] > 0 for one in found.values())
    assert all(0 <= found[precision]["wait_share"] <= 1 for precision in ("fp32", "bf16"))
