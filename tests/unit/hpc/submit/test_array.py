"""Following the tasks of an array: states together, progress added up, the exit code that explains most."""

from __future__ import annotations

import io
import os
import signal
import time
from pathlib import Path

import pytest
from rich.console import Console

from hpc.progress import ProgressFile
from hpc.submit.array import follow_array, progress_of
from hpc.submit.submitted import JobState
from tests.kit.submit_tools import Job


class Task(Job):
    """One task of an array."""

    def __init__(self, folder: Path, number: int, states: list[JobState]) -> None:
        super().__init__(folder / f"task{number}", states)
        self.job_id = f"41_{number}"
        self.name = "embed-x"


def follow(tasks: list[Task]) -> tuple[int, list[str]]:
    console = Console(file=io.StringIO(), width=100, color_system=None)
    code = follow_array(tasks, console, poll_s=0.001)
    return code, console.file.getvalue().splitlines()


def test_states_are_counted_and_the_end_is_said(tmp_path: Path) -> None:
    running, done = JobState("running"), JobState("done", 0, "done")
    tasks = [
        Task(tmp_path, 0, [JobState("pending"), running, running, done]),
        Task(tmp_path, 1, [JobState("pending"), JobState("pending"), running, running, done]),
    ]
    code, lines = follow(tasks)
    assert code == 0
    assert lines == [
        "embed-x: 2 jobs, array 41 (slurm)",
        "2 pending",
        "1 pending, 1 running",
        "2 running",
        "1 done, 1 running",
        "2 done",
        "all 2 jobs are done",
    ]


def test_a_reason_of_several_tasks_is_told_once_and_a_cancelled_task_by_its_name(tmp_path: Path) -> None:
    waits, cancelled = JobState("pending", message="PartitionDown"), JobState("cancelled", 130, "by anna")
    tasks = [Task(tmp_path, n, [waits, waits, cancelled if n else JobState("done", 0)]) for n in range(3)]
    code, lines = follow(tasks)
    assert code == 130
    assert [line for line in lines if "partition is closed" in line] == [line for line in lines if "To give up" in line]
    assert len([line for line in lines if "partition is closed" in line]) == 1
    assert "2 cancelled, 1 done" in lines
    assert lines[-2:] == ["job 41_2, embed-x:", "cancelled (exit code 130) by anna"]


def test_the_others_go_on_when_one_fails(tmp_path: Path) -> None:
    tasks = [
        Task(tmp_path, 0, [JobState("failed", 1, "killed")]),
        Task(tmp_path, 1, [JobState("failed", 3, "shard 7 is damaged")]),
        Task(tmp_path, 2, [JobState("running"), JobState("done", 0)]),
    ]
    code, lines = follow(tasks)
    assert code == 3
    assert "job 41_1, embed-x:" in lines
    assert "failed (exit code 3): shard 7 is damaged" in lines
    assert "all 3 jobs are done" not in lines


def test_tasks_of_their_own_names_are_named(tmp_path: Path) -> None:
    """Which network each task trains, when it begins, as it goes on, and where it fails."""
    tasks = [
        Task(tmp_path, 0, [JobState("running"), JobState("done", 0)]),
        Task(tmp_path, 1, [JobState("running"), JobState("failed", 3, "damaged")]),
    ]
    for task, name in zip(tasks, ("compare-x-siamese-1", "compare-x-triplet-1"), strict=True):
        task.name = name
        ProgressFile(task.progress_folder, 0).update("train", 3, 8, "steps", force=True)
    code, lines = follow(tasks)
    assert code == 3
    assert lines[:3] == ["2 jobs, array 41 (slurm)", "job 41_0: compare-x-siamese-1", "job 41_1: compare-x-triplet-1"]
    assert [line.partition(":")[0] for line in lines if " 3 / 8 steps" in line] == [task.name for task in tasks]
    assert "job 41_1, compare-x-triplet-1:" in lines


def test_progress_is_added_up(tmp_path: Path) -> None:
    tasks = [Task(tmp_path, number, [JobState("running")]) for number in range(2)]
    for number, task in enumerate(tasks):
        for rank in range(2):
            file = ProgressFile(task.progress_folder, rank)
            file.update("embed", 0, 100 + number, "residues", force=True)
            file.update("embed", 10, 100 + number, "residues", force=True)
    (item,) = progress_of(tasks)
    assert (item.done, item.total, item.num_ranks) == (40, 201, 4)
    assert item.eta_s is not None


def test_interrupt_leaves_the_array_alone(tmp_path: Path) -> None:
    def interrupt() -> JobState:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
        pytest.fail("not interrupted")

    tasks = [Task(tmp_path, 0, [JobState("running"), interrupt])]
    code, lines = follow(tasks)
    assert code == 130
    assert tasks[0].calls == []
    assert "scancel 41" in lines[-1]
