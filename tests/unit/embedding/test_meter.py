"""What a rank says of its speed, by a clock of the test."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hpc.progress import ProgressFile
from snw_dist.embedding import meter as measured
from snw_dist.embedding.encoder import Batch
from snw_dist.embedding.meter import Meter


def test_a_shard_counts_from_the_end_of_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(measured.time, "monotonic", lambda: now)
    meter = Meter(ProgressFile(tmp_path, 0), 1000, gemm_rate=1000.0)
    now += 50  # to find out that a shard is committed is no work on the next one
    meter.skip(100)
    now += 2
    meter.add(Batch(4, True, 60, 500))
    assert meter.record() == {"residues": 60, "seconds": 2.0, "residues_per_s": 30.0, "gemm_share": 0.25}
    now += 1
    meter.skip(100)
    now += 3
    meter.add(Batch(6, False, 10, 0))
    now += 1
    meter.skip(100)  # the next shard is asked for while this one is under way
    meter.add(Batch(6, True, 10, 0))
    assert meter.record()["seconds"] == 4.0
    meter.end()
    (file,) = tmp_path.iterdir()
    assert json.loads(file.read_text())["kinds"]["embed"]["done"] == 380
