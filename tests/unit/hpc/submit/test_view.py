"""Jobs as lines: what is said, that it fits, and what goes first where it does not."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from hpc.curves import Curve
from hpc.progress import ProgressRecord
from hpc.ranks.attempts import PREEMPTED
from hpc.submit.live import by_importance, room_of
from hpc.submit.look import LastCheckpoint, LogEnd, Look, Restart
from hpc.submit.submitted import JobState
from hpc.submit.view import Room, jobs_lines
from tests.unit.hpc.submit.test_look import job

NOW = 10_000.0
CURVES = [
    Curve("train", "loss", [1, 50, 90], [0.9, 0.6, 0.5]),
    Curve("val", "loss", [50, 90], [0.7, 0.6]),
    Curve("AUROC", "AUROC", [50, 90], [0.75, 0.9]),
]


def record(rank: int = 0, rate: float = 2.0, seen_s: float = 1.0, **shown: float | None) -> ProgressRecord:
    return ProgressRecord(rank, "train", 90, 100, "steps", rate, {"loss": 0.5, **shown}, NOW - seen_s)


def look(run: Path, state: JobState, number: int = 1, num_ranks: int = 1) -> Look:
    ranks = [record(rank) for rank in range(num_ranks)]
    restarts = [Restart("41", 1, NOW - 180, PREEMPTED, 70)]
    saved = LastCheckpoint("step_0000000080", NOW - 12)
    return Look(job(run, number, num_ranks=num_ranks), state, ranks, restarts, saved, CURVES)


def lines(looks: list[Look], room: Room) -> list[str]:
    return [line.plain.rstrip() for line in jobs_lines(looks, room, now=NOW)]


RUNNING, DONE = JobState("running", attempt=2), JobState("done", 0)


def test_everything_of_a_running_job_in_80_columns(tmp_path: Path) -> None:
    shown = lines([look(tmp_path, RUNNING)], Room(80, 24))
    assert shown[:7] == [
        "train-x  job 41 (slurm)  running on 1 rank (attempt 2)",
        "  train    ━━━━━━━━━━━━── 90 / 100 steps  2 a second  0:00:05 left",
        "    loss 0.5",
        "  started once before:",
        "    attempt 1, 3 min 00 s ago: preempted: a more urgent job needed its nodes;",
        "      saved at 70 steps",
        "  last checkpoint step_0000000080, 12.0 s old",
    ]
    assert shown[7].startswith("  loss  train 0.5  val 0.6")
    assert "AUROC  0.9" in shown[7]
    assert len(shown) == 14


def test_on_no_terminal_the_curves_are_words_and_nothing_is_wrapped(tmp_path: Path) -> None:
    shown = lines([look(tmp_path, RUNNING)], Room(None))
    assert "  AUROC: 0.75 at step 50, 0.9 at step 90; lowest 0.75, highest 0.9" in shown
    failed = JobState("failed", 2, "word " * 100)
    assert any(line.count("word") == 100 for line in lines([look(tmp_path, failed)], Room(None)))


@pytest.mark.parametrize("width", [40, 80, 160])
@pytest.mark.parametrize("height", [3, 10, 23, 49])
@pytest.mark.parametrize("number", [1, 3, 40])
@pytest.mark.parametrize("plain", [False, True])
def test_it_fits_whatever_there_is(tmp_path: Path, width: int, height: int, number: int, plain: bool) -> None:
    states = [JobState("failed", 1, "rank 3: ValueError: " + "x" * 300), RUNNING, DONE, JobState("pending")]
    looks = [look(tmp_path, states[at % 4], at, 12) for at in range(number)]
    shown = jobs_lines(looks, Room(width, height, plain), now=NOW)
    assert len(shown) <= height
    assert max(line.cell_len for line in shown) <= width
    assert not plain or all(line.plain.isascii() for line in shown)


def test_what_is_left_out_is_said_and_the_most_important_stays(tmp_path: Path) -> None:
    looks = by_importance([*(look(tmp_path, DONE, number) for number in range(1, 30)), look(tmp_path, RUNNING, 30)])
    shown = lines(looks, Room(80, 10))
    assert shown[0].startswith("train-x  job 430 (slurm)  running on 1 rank")
    assert shown[-1] == "... and 21 more jobs: 21 done"


def test_a_stopped_job_is_not_called_failed_and_has_no_time_left(tmp_path: Path) -> None:
    shown = lines([look(tmp_path, JobState("failed", 75, "state of step 90 is saved"))], Room(100))
    assert shown[0].endswith("stopped, exit code 75: the same command goes on from what is saved")
    assert not any(" left" in line or "a second" in line for line in shown)


def test_a_failure_has_its_reason_and_the_log_of_its_rank(tmp_path: Path) -> None:
    seen = look(tmp_path, JobState("failed", 1, "rank 3: ValueError: [/] a defect"))
    seen = Look(seen.job, seen.state, log_end=LogEnd(3, Path("/logs/3.err"), ["Traceback", "  \x1b[2Jline"]))
    shown = lines([seen], Room(100))
    assert shown[1] == "  rank 3: ValueError: [/] a defect"
    assert shown[2] == "  last lines of rank 3, /logs/3.err:"
    assert shown[-1].endswith("\\x1b[2Jline")


def test_of_many_ranks_the_slowest_and_the_silent_are_shown(tmp_path: Path) -> None:
    ranks = [record(rank, rate=1.0 if rank == 17 else 5.0, seen_s=50.0 if rank == 33 else 1.0) for rank in range(64)]
    shown = lines([Look(job(tmp_path, num_ranks=64), RUNNING, ranks)], Room(80, 40))
    assert any(line.split()[:2] == ["17", "train"] for line in shown)
    assert any(line.split()[:2] == ["33", "train"] and "50.0 s ago" in line for line in shown)
    assert "  the slowest and the most silent of 64 ranks" in shown
    assert len([line for line in lines([Look(job(tmp_path), RUNNING, ranks)], Room(None)) if " ago" in line]) == 64


def test_who_has_been_silent_for_long_is_named(tmp_path: Path) -> None:
    shown = lines([Look(job(tmp_path), RUNNING, [record(seen_s=200)])], Room(None))
    assert any(line.startswith("  no progress has been reported for 3 min 20 s; logs: /") for line in shown)


def test_a_job_that_waits_says_why_and_what_to_do(tmp_path: Path) -> None:
    [header, *rest] = lines([Look(job(tmp_path), JobState("pending", message="PartitionTimeLimit"))], Room(80))
    assert header.endswith("waiting in the queue: PartitionTimeLimit")
    assert "lower --time-min" in " ".join(" ".join(rest).split())


def test_why_a_job_waits_has_a_line_of_its_own_where_the_header_is_too_narrow(tmp_path: Path) -> None:
    waits = look(tmp_path, JobState("requeued", message="Resources", attempt=2))
    assert lines([waits], Room(120))[0].endswith("queued again (attempt 2): no free nodes yet (Resources)")
    first, second, *_ = lines([waits], Room(70, 24))
    assert first == "train-x  job 41 (slurm)  queued again (attempt 2)"
    assert second == "  no free nodes yet (Resources)"


def test_a_job_that_starts_again_has_no_rate_of_its_last_attempt_and_is_not_silent(tmp_path: Path) -> None:
    again = replace(look(tmp_path, RUNNING), ranks=[record(seen_s=181)])
    shown = lines([again], Room(100))
    assert "  starting again" in shown
    assert not any("a second" in line or " left" in line or "no progress" in line for line in shown)
    works = "\n".join(lines([replace(again, ranks=[record(seen_s=179)])], Room(100)))
    assert "2 a second" in works
    assert "starting" not in works


def test_what_a_job_does_before_it_works_has_no_name_of_a_logger(tmp_path: Path) -> None:
    starts = Look(job(tmp_path), RUNNING, starting="18:10:57 r00 INFO  hpc.job.run: rank 0 of 2 on n1")
    assert lines([starts], Room(100))[1] == "  starting; last in its log, at 18:10:57: rank 0 of 2 on n1"
    assert lines([replace(starts, starting="")], Room(100))[1] == "  starting; nothing is in its log yet"


def test_the_room_is_that_of_the_terminal() -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, width=90, height=30)
    assert room_of(terminal, live=True) == Room(90, 29)
    assert room_of(terminal) == Room(90)
    assert room_of(Console(file=io.StringIO(), width=90)) == Room(None)


def test_jobs_that_have_a_line_each_are_a_table_with_their_last_value(tmp_path: Path) -> None:
    short, long = look(tmp_path, DONE, 1), look(tmp_path, DONE, 12)
    long.job.name = "train-of-a-longer-name"
    shown = lines([short, long], Room(100, 3))
    assert [line.index("done") for line in shown] == [shown[0].index("done")] * 2
    assert "AUROC 0.9 ▁█" in shown[0]
