"""Starts of a run are read from what `train` tells of itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from snw_dist.report.run.starts import starts_of
from snw_dist.train.lines import start_line
from snw_dist.train.plan import TrainPlan


def test_starts_of_several_jobs(tmp_path: Path) -> None:
    plan = TrainPlan(np.arange(50), 10, 4, None, 1, 1)
    told = {
        "000001": [start_line(plan, 0, None, tmp_path), start_line(plan, 7, tmp_path / "step_7", tmp_path)],
        "000002": ["embedding"],
        "000003": [start_line(plan, 12, tmp_path / "step_12", tmp_path)],
    }
    for name, lines in told.items():
        progress = tmp_path / name / "progress"
        progress.mkdir(parents=True)
        (tmp_path / name / "submitted.json").write_text("{}")
        (progress / "told.txt").write_text(
            "step 3 of 20 (epoch 1 of 4): validation\n".join(f"{line}\n" for line in lines)
        )
    found = starts_of(tmp_path)
    assert [start.step for start in found] == [0, 7, 12]
    assert [start.why for start in found] == ["", "queued again: preempted", "started again by a new job"]
    (tmp_path / "000001" / "attempts.json").write_text('{"attempts": [{"done": 7}]}')
    assert starts_of(tmp_path)[1].why == "queued again: preempted, or at its time limit"


def test_without_jobs_there_are_none(tmp_path: Path) -> None:
    assert starts_of(tmp_path / "jobs") == []
