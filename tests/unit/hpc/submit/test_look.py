"""What is seen of a job from its files, and how few of them are read for it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hpc.curves import CurveFile, Wanted, Work
from hpc.job.request import REQUEST
from hpc.logs import log_file
from hpc.progress import ProgressFile
from hpc.ranks.attempts import LIMIT, PREEMPTED, Attempt, note_attempt
from hpc.ranks.outcome import Outcome, write_outcome
from hpc.submit.look import UNSEEN, Looker, attempts_before, end_of_failed, last_checkpoint, lookers
from hpc.submit.schedulers import Seen
from hpc.submit.submitted import JobState, SubmittedJob

OPENED: list[str] | None = None


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if OPENED is not None and event in ("open", "os.listdir", "os.scandir"):
        OPENED.append(str(arguments[0]))


sys.addaudithook(_hear)


@contextmanager
def opened() -> Iterator[list[str]]:
    """Files that are opened and folders that are listed meanwhile."""
    global OPENED
    OPENED = found = list[str]()
    yield found
    OPENED = None


class Runs:
    """A scheduler that knows one thing."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen

    def look(self) -> Seen:
        return self.seen

    def stop(self) -> None: ...

    def kill(self) -> None: ...


def job(run: Path, number: int = 1, seen: Seen = Seen("running"), num_ranks: int = 1) -> SubmittedJob:  # noqa: B008
    folder = run / "jobs" / f"{number:06d}-a"
    folder.mkdir(parents=True, exist_ok=True)
    values = {"entry_point": "a.b:c", "config": {"x": 1}, "job_folder": str(folder)}
    (folder / REQUEST).write_text(json.dumps(values))
    return SubmittedJob("train-x", f"4{number}", "slurm", folder, run / "logs", num_ranks, Runs(seen), fresh=False)


def works(run: Path) -> Any:
    """As the program of the job would say it."""

    def work_of(entry_point: str, config: Any, submitted_for: Path) -> Work | None:
        assert (entry_point, config, submitted_for) == ("a.b:c", {"x": 1}, run)
        return Work(run / "checkpoints", CurveFile(run / "m.jsonl", [Wanted("loss", "loss", "train", "loss")]))

    return work_of


@pytest.mark.parametrize(("num_ranks", "most"), [(8, 25), (1000, 70)])
def test_a_look_weighs_little_on_a_shared_file_system(tmp_path: Path, num_ranks: int, most: int) -> None:
    """Files and folders a second, over a minute of looks twice a second; hpc/README.md names these figures."""
    mine = job(tmp_path, num_ranks=num_ranks)
    for rank in range(num_ranks):
        ProgressFile(mine.progress_folder, rank).update("embed", 1, 10**6, "residues", force=True)
    (tmp_path / "m.jsonl").write_text('{"kind": "train", "step": 1, "loss": 1.0}\n')
    now = [1000.0]
    looker = Looker(mine, works(tmp_path), clock=lambda: now[0])
    looker.look()
    with opened() as found:
        for _ in range(120):
            now[0] += 0.5
            looker.look()
    assert 0 < len(found) / 60 <= most
    assert len([path for path in found if path.endswith("m.jsonl")]) == 12


def test_many_jobs_share_what_may_be_read(tmp_path: Path) -> None:
    jobs = [job(tmp_path, number, num_ranks=4) for number in range(1, 101)]
    for each in jobs:
        for rank in range(4):
            ProgressFile(each.progress_folder, rank).update("train", 1, 10, "steps", force=True)
    now = [1000.0]
    looking = [Looker(each, lambda *_: None, ranks_in_all=400, clock=lambda: now[0]) for each in jobs]
    with opened() as found:
        for _ in range(6):  # 100 jobs are looked at every five seconds
            now[0] += 5
            for looker in looking:
                looker.look()
    assert len([path for path in found if "rank_" in path]) / 30 <= 55


def test_everything_of_a_run_that_was_preempted(tmp_path: Path) -> None:
    mine = job(tmp_path, seen=Seen("pending", "BeginTime", restarts=2))
    ProgressFile(mine.progress_folder, 0).update("train", 70, 100, "steps", force=True)
    note_attempt(mine.job_folder, Attempt(70, 60.0, 5.0, PREEMPTED, 1, 1234.5), 600.0)
    (tmp_path / "m.jsonl").write_text('{"kind": "train", "step": 70, "loss": 0.5}\n')
    (tmp_path / "checkpoints" / "step_0000000070").mkdir(parents=True)
    look = Looker(mine, works(tmp_path)).look()
    assert look.state.status == "requeued"
    assert [(r.attempt, r.why, r.done, r.ended) for r in look.restarts] == [
        (1, UNSEEN, None, None),
        (2, PREEMPTED, 70, 1234.5),
    ]
    assert look.checkpoint is not None
    assert look.checkpoint.name == "step_0000000070"
    assert look.curves[0].y == [0.5]
    assert look.progress[0].eta_s is None, "nothing is left while nothing runs"


def test_a_job_that_was_requeued_and_that_only_accounting_knows_has_ended_well(tmp_path: Path) -> None:
    """It was told as `failed: ended without a word: COMPLETED`."""
    mine = job(tmp_path, seen=Seen("ended", "COMPLETED"))
    note_attempt(mine.job_folder, Attempt(70, 60.0, 5.0, PREEMPTED, 0, 1234.5), 600.0)
    write_outcome(mine.job_folder, 0, Outcome(0, "done", 1))
    look = Looker(mine, works(tmp_path)).look()
    assert (look.state.status, look.state.attempt) == ("done", 2)
    assert [restart.why for restart in look.restarts] == [PREEMPTED]


def test_attempts_by_their_numbers_and_the_limit_counts_alone(tmp_path: Path) -> None:
    mine = job(tmp_path)
    for number in range(4):
        note_attempt(mine.job_folder, Attempt(5, 60.0, 50.0, PREEMPTED, number, 1.0), 60.0)
    note_attempt(mine.job_folder, Attempt(5, 60.0, 50.0, LIMIT, 4, 1.0), 60.0)
    assert [each.why for each in attempts_before(mine, 6)] == [PREEMPTED] * 4 + [LIMIT]


def test_an_earlier_job_of_the_name_is_a_restart(tmp_path: Path) -> None:
    first, second, other = job(tmp_path, 1), job(tmp_path, 2), job(tmp_path / "other", 1)
    write_outcome(first.job_folder, 0, Outcome(1, "rank 1 has gone", echo=True))
    write_outcome(first.job_folder, 1, Outcome(75, "asked to stop; state of step 7 is saved"))
    write_outcome(other.job_folder, 0, Outcome(1, "of another run"))
    [looker] = lookers([second], lambda *_: None, [first, second, other])
    [restart] = looker.look().restarts
    assert (restart.job, restart.attempt, restart.why) == ("41", 1, "asked to stop; state of step 7 is saved")


def test_an_earlier_job_that_was_cancelled_is_a_restart(tmp_path: Path) -> None:
    """Its ranks were ended while they waited for Slurm, and have left no last word."""
    first, second = job(tmp_path, 1), job(tmp_path, 2)
    note_attempt(first.job_folder, Attempt(45, 60.0, 5.0, "asked to stop", 0, 1234.5), 600.0)
    [looker] = lookers([second], lambda *_: None, [first, second])
    [restart] = looker.look().restarts
    assert (restart.job, restart.attempt, restart.why, restart.done) == ("41", 1, "asked to stop", 45)


def test_an_earlier_job_of_which_a_rank_was_killed_is_a_restart(tmp_path: Path) -> None:
    """Nobody but those who have seen it go has left a word."""
    first, second = job(tmp_path, 1), job(tmp_path, 2)
    note_attempt(first.job_folder, Attempt(70, 60.0, 5.0, PREEMPTED, 0, 1234.5), 600.0)
    write_outcome(first.job_folder, 0, Outcome(1, "rank 1 on n2 has gone without a word; see its log", 1, echo=True))
    [looker] = lookers([second], lambda *_: None, [first, second])
    assert [(each.job, each.attempt, each.why) for each in looker.look().restarts] == [
        ("41", 1, PREEMPTED),
        ("41", 2, "rank 1 was killed, or its node failed"),
    ]


def test_the_log_of_the_rank_that_failed_and_of_no_other(tmp_path: Path) -> None:
    mine = job(tmp_path, num_ranks=3)
    (tmp_path / "logs").mkdir()
    for rank in range(3):
        mine.log_path(rank).write_text("".join(f"line {line} of rank {rank}\n" for line in range(50)))
    write_outcome(mine.job_folder, 0, Outcome(1, "rank 2 has gone", echo=True))
    write_outcome(mine.job_folder, 2, Outcome(1, "rank 2: ValueError: a defect"))
    end = end_of_failed(mine)
    assert end is not None
    assert (end.rank, end.file) == (2, mine.log_path(2))
    assert end.lines[-1] == "line 49 of rank 2"
    assert len(end.lines) == 10
    write_outcome(mine.job_folder, 2, Outcome(3, "shard 7 is damaged. Mend it: ..."))
    assert end_of_failed(mine) is None, "what is said to the user says all"


def test_of_a_job_that_starts_the_last_line_of_ours_is_shown(tmp_path: Path) -> None:
    mine = job(tmp_path)
    log_file(mine.job_folder, 0).parent.mkdir()
    ours = "18:46:04 r00 INFO  hpc.job.run: rank 0 of 2 on n1, attempt 8-0"
    log_file(mine.job_folder, 0).write_text(f"{ours}\n18:46:26 r00 INFO  compilers.C.base: gcc test.o -laio\n")
    assert Looker(mine, works(tmp_path)).look().starting == ours


def test_a_job_that_has_ended_is_read_once_more_and_then_left_alone(tmp_path: Path) -> None:
    looker = Looker(job(tmp_path), works(tmp_path))
    looker.look(JobState("done", 0))
    with opened() as found:
        assert looker.look().state.status == "done"
    assert found == []


def test_a_damaged_request_shows_less_and_ends_nothing(tmp_path: Path) -> None:
    mine = job(tmp_path)
    (mine.job_folder / REQUEST).write_text('{"entry')
    assert not Looker(mine, works(tmp_path)).look().curves


@pytest.mark.parametrize("names", [[], ["step_best", ".step_0000000009.superseded", "notes"]])
def test_what_is_no_checkpoint_is_none(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).mkdir()
    assert last_checkpoint(tmp_path) is None
    assert last_checkpoint(tmp_path / "missing") is None
    for number in (9, 10):
        (tmp_path / f"step_{number:010d}").mkdir()
    os.utime(tmp_path / "step_0000000010", (5, 5))
    found = last_checkpoint(tmp_path)
    assert found is not None
    assert (found.name, found.saved) == ("step_0000000010", 5)
