"""What is seen of the runs of a folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hpc.errors import InputError
from snw_dist.runs.facts import runs_in
from tests.kit.run_folders import finished_run


def test_state_figures_and_sizes(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "whole", 2, 4, best=2)
    (tmp_path / "new" / "jobs").mkdir(parents=True)
    (tmp_path / "no run").mkdir()
    (run / "store.zarr").mkdir()
    (run / "store.zarr" / "zarr.json").write_bytes(bytes(1000))
    for path in run.rglob("*"):
        os.utime(path, (1000, 1000))
    os.utime(run / "finished.json", (2000, 2000))
    whole, new = runs_in(tmp_path)
    assert (whole.stage, whole.best, whole.test) == ("trained", "AUROC 0.909 (step 2)", "")
    files = [path for path in run.rglob("*") if path.is_file()]
    assert whole.num_bytes == sum(path.stat().st_size for path in files)
    assert whole.checkpoint_bytes == sum(path.stat().st_size for path in files if "checkpoints" in path.parts)
    assert (whole.store_bytes, whole.changed_at) == (1000, 2000)
    assert (new.stage, new.best, new.num_bytes) == ("begun", "", 0)


@pytest.mark.parametrize(
    ("splits", "said"),
    [({"val": 0.95, "test": 0.91}, "AUROC 0.910 (test)"), ({"val": 0.95, "cold": 0.8}, "AUROC 0.800 (cold)")],
)
def test_the_held_out_figure_is_not_that_of_val(tmp_path: Path, splits: dict[str, float], said: str) -> None:
    run = finished_run(tmp_path / "x", 2, best=2)
    (run / "evaluation").mkdir()
    figures = {name: {"metrics": {"auroc": {"value": value}}} for name, value in splits.items()}
    (run / "evaluation" / "metrics.json").write_text(json.dumps({"model": {"splits": figures}}))
    [seen] = runs_in(tmp_path)
    assert (seen.stage, seen.test) == ("measured", said)


def test_what_is_damaged_is_left_empty(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "x", 2, best=2)
    (run / "finished.json").write_text("{")
    (run / "evaluation").mkdir()
    (run / "evaluation" / "metrics.json").write_text("[]")
    [seen] = runs_in(tmp_path)
    assert (seen.best, seen.test) == ("", "")


@pytest.mark.parametrize("made", [True, False])
def test_no_run_is_one_line(tmp_path: Path, made: bool) -> None:
    folder = tmp_path / "runs"
    if made:
        (folder / "empty").mkdir(parents=True)
    with pytest.raises(InputError, match="snw-dist prepare" if made else "cannot be listed"):
        runs_in(folder)
