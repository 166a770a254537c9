"""Starts of a run are read from what `train` tells of itself, and from what its ranks leave when they end."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from hpc.ranks.attempts import LIMIT, PREEMPTED, Attempt, note_attempt
from hpc.ranks.outcome import Outcome, write_outcome
from snw_dist.report.run.starts import starts_of
from snw_dist.train.lines import start_line
from snw_dist.train.plan import TrainPlan

PLAN = TrainPlan(np.arange(50), 10, 4, None, 1, 1)


def job(jobs: Path, number: int, steps: list[int], run: str | None = "ours") -> Path:
    folder = jobs / f"{number:06d}"
    (folder / "progress").mkdir(parents=True)
    (folder / "submitted.json").write_text("{}")
    if run is not None:
        (folder / "request.json").write_text(json.dumps({"config": {"run": {"name": run}}}))
    lines = [start_line(PLAN, step, folder / f"step_{step}" if step else None, folder) for step in steps]
    text = "".join(
        f"{line}\nstep {step + 1} of 20 (epoch 1 of 4): x\n" for line, step in zip(lines, steps, strict=True)
    )
    (folder / "progress" / "told.txt").write_text(text)
    return folder


def attempt(done: int | None, why: str, restarts: int) -> Attempt:
    return Attempt(done, 100.0, 5.0, why, restarts, 1.0)


def test_each_start_of_a_job_has_the_reason_that_its_last_attempt_has_noted(tmp_path: Path) -> None:
    """Until now every one was `preempted, or at its time limit`."""
    folder = job(tmp_path, 1, [0, 7, 9, 12, 15])
    note_attempt(folder, attempt(7, PREEMPTED, 0), None)
    note_attempt(folder, attempt(9, LIMIT, 1), None)
    note_attempt(folder, attempt(None, PREEMPTED, 2), None)  # before it came to its first step
    note_attempt(folder, attempt(15, "asked to stop by SIGTERM: ...", 4), None)
    found = starts_of(tmp_path, "ours")
    assert [start.step for start in found] == [0, 7, 9, 12, 15]
    assert [start.kind for start in found] == ["", "preempted", "time limit", "killed or node failed", "after a stop"]
    assert found[1].why == f"queued again: {PREEMPTED}"
    assert found[3].why == "queued again: killed, or its node failed"


def test_a_new_job_has_the_reason_for_which_the_one_before_ended(tmp_path: Path) -> None:
    write_outcome(job(tmp_path, 1, [0]), 0, Outcome(75, "asked to stop; state of step 5 is saved"))
    killed = job(tmp_path, 2, [5])
    write_outcome(killed, 0, Outcome(1, "rank 1 on n2 has gone without a word; see its log", echo=True))
    write_outcome(job(tmp_path, 3, [9]), 0, Outcome(0, "done"))
    job(tmp_path, 4, [])  # embeds
    cancelled = job(tmp_path, 5, [20])
    note_attempt(cancelled, attempt(25, "asked to stop by SIGTERM: ...", 0), None)
    write_outcome(job(tmp_path, 6, [25]), 0, Outcome(4, "the disk is full"))
    job(tmp_path, 7, [30])
    found = starts_of(tmp_path, "ours")
    kinds = ["", "after a stop", "killed or node failed", "for more steps", "after a stop", "by a new job"]
    assert [start.kind for start in found] == kinds
    assert found[1].why.endswith("the one before had ended: asked to stop; state of step 5 is saved")
    assert "rank 1 of the one before was killed" in found[2].why
    assert found[3].why.endswith("the one before had done all of its steps")


def test_jobs_that_train_another_run_are_not_ours(tmp_path: Path) -> None:
    """Those of a comparison are in the folder of the run that is compared."""
    job(tmp_path, 1, [0])
    job(tmp_path, 2, [0], "ours-siamese-1")
    assert [start.step for start in starts_of(tmp_path, "ours")] == [0]
    (tmp_path / "000002" / "request.json").write_text("{")
    assert len(starts_of(tmp_path, "ours")) == 2


def test_without_jobs_there_are_none(tmp_path: Path) -> None:
    assert starts_of(tmp_path / "jobs", "ours") == []
