"""A limit that nearly fills with starting up ends the job, and nothing else does."""

from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path

import pytest

from hpc.errors import EnvironmentProblem
from hpc.ranks.attempts import (
    ATTEMPTS,
    LIMIT,
    PREEMPTED,
    Attempt,
    note_attempt,
    read_attempts,
    signal_is_of_limit,
    verdict,
)
from hpc.ranks.requeue import job_begun, time_limit_min
from hpc.ranks.topology import JobIdentity
from tests.kit.ranks import Finished, start_ranks

NOTHING = Attempt(None, 48.0, None)


def at(done: int | None, seconds: float = 48.0, start_s: float | None = 10.0) -> Attempt:
    return Attempt(done, seconds, start_s)


@pytest.mark.parametrize(
    ("attempts", "is_the_last"),
    [
        ([], False),
        ([NOTHING] * 2, False),
        ([NOTHING] * 3, True),
        ([at(7)] * 3, True),  # a validation, or a shard, that is longer than the limit
        ([at(7), at(7), at(8)], False),
        ([at(0), at(0), NOTHING], True),
        ([at(7), NOTHING, NOTHING], True),
        ([at(1), at(5), at(9)], False),
        ([at(1, start_s=45.0), at(2, start_s=45.0), at(3, start_s=45.0)], True),  # 16 of 17 parts are starts
        ([at(1, start_s=45.0), at(2, start_s=45.0), at(9)], False),
        ([NOTHING, NOTHING, at(3), at(5)], False),
        ([at(3), at(5), at(5), at(5)], True),
        ([at(9), at(5), at(6)], True),  # went on from an older checkpoint, and is not where it was
    ],
)
def test_verdict(attempts: list[Attempt], is_the_last: bool) -> None:
    assert (verdict(attempts, 60.0) is not None) == is_the_last


def test_the_message_names_limit_start_rest_and_option() -> None:
    said = verdict([at(7, start_s=41.0)] * 3, 60.0)
    assert said is not None
    assert "limit of 1 min is too short" in said
    assert "A start took 41 s, and 7 s were left for work. Raise --time-min (or cluster.time_min)" in said
    assert "added nothing" in said


def test_a_signal_long_before_the_limit_is_not_of_it() -> None:
    assert signal_is_of_limit(0.0, 60.0)
    assert not signal_is_of_limit(60.0, 3600.0)
    assert signal_is_of_limit(3600.0 - 120, 3600.0)


@pytest.mark.parametrize("content", ["", "{}", "[1]", '[{"done": -1}]', "[" * 9999, '[{"more": 1}]'])
def test_a_damaged_record_ends_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / ATTEMPTS).write_text(content)
    assert read_attempts(tmp_path / ATTEMPTS) == []
    note_attempt(tmp_path, NOTHING, 60.0)
    note_attempt(tmp_path, NOTHING, 60.0)
    with pytest.raises(EnvironmentProblem, match="--time-min"):
        note_attempt(tmp_path, NOTHING, 60.0)


SHOW = "case $1 in show) echo JobId=41 JobState=RUNNING PreemptTime={preempted} RunTime={ran} Reason=None; exit;; esac"


def attempts(
    folder: Path, number: int, sent: signal.Signals | None, preempted: str, ran: str = "00:00:00", **config: object
) -> list[Finished]:
    """Starts of the same job as Slurm makes them; its requeue is refused, so that each ends at once with 75."""
    (folder / "scontrol").write_text(f"#!/bin/sh\n{SHOW.format(preempted=preempted, ran=ran)}\necho no >&2; exit 1\n")
    (folder / "scontrol").chmod(0o755)
    done = []
    for restarts in range(number):
        env = {"SLURM_JOB_ID": "41", "SLURM_RESTART_COUNT": str(restarts), "PATH": f"{folder}:/usr/bin:/bin"}
        time_min = 0.001 if sent is None else 1.0
        with start_ranks("limited", 2, {"from": restarts, **config}, folder, env=env, time_min=time_min) as ranks:
            if sent is not None:
                ranks.wait_for_files("working-rank0.json", "working-rank1.json")
                ranks.send(sent)
            done.append(ranks.finish()[0])
        for mark in (folder / "job").glob("working-*"):
            mark.unlink()
    return done


@pytest.mark.parametrize(
    ("sent", "preempted", "last", "why"),
    [
        (None, "None", 4, LIMIT),  # the limit itself, no step in any attempt
        (signal.SIGUSR2, "None", 4, LIMIT),  # what Slurm sends before the limit
        (signal.SIGUSR2, "2026-01-01T00:00:00", 75, PREEMPTED),  # what it sends before a preemption
        (signal.SIGTERM, "2026-01-01T00:00:00", 75, PREEMPTED),  # likewise, as most sites have it
        (signal.SIGTERM, "None", 75, "asked to stop by SIGTERM: preempted, its node drained, or stopped by hand"),
    ],
)
def test_starts_of_a_real_job(tmp_path: Path, sent: signal.Signals | None, preempted: str, last: int, why: str) -> None:
    done = attempts(tmp_path, 3, sent, preempted, gain=0, work_s=0)
    assert {each.why for each in read_attempts(tmp_path / "job" / ATTEMPTS)} == {why}
    assert [each.returncode for each in done] == [75, 75, last], done[-1].log
    if last == 4:
        assert "Raise --time-min" in done[-1].outcome["message"]
        assert "Traceback" not in done[-1].log


def test_a_job_that_gets_on_is_not_ended(tmp_path: Path) -> None:
    done = attempts(tmp_path, 4, signal.SIGUSR2, "None", gain=5, work_s=1.5)
    assert [each.returncode for each in done] == [75] * 4, done[-1].log
    kept = json.loads((tmp_path / "job" / ATTEMPTS).read_text())
    assert [each["done"] for each in kept] == [5, 10, 15, 20]


def test_what_is_before_the_ranks_is_a_part_of_the_start(tmp_path: Path) -> None:
    """`setup` and imports that take 50 of 60 seconds: by its own clock a rank works nearly all of the time."""
    done = attempts(tmp_path, 3, signal.SIGUSR2, "None", ran="00:00:50", gain=5, work_s=0.3)
    assert [each.returncode for each in done] == [75, 75, 4], done[-1].log
    assert re.search(r"A start took [5-6]\d s, and \d s were left", done[-1].outcome["message"])


@pytest.mark.parametrize(
    ("says", "ran_s"),
    [("00:01:05", 65), ("1-02:00:00", 93600), ("INVALID", 5), ("00:00:00", 5)],
)
def test_the_job_began_when_slurm_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, ran_s: int) -> None:
    """Never after the process that asks."""
    (tmp_path / "scontrol").write_text(f"#!/bin/sh\n{SHOW.format(preempted=None, ran=says)}\n")
    (tmp_path / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    now = time.monotonic()
    assert now - job_begun(JobIdentity("41"), now - 5) == pytest.approx(ran_s, abs=2)
    assert job_begun(JobIdentity(), now - 5) == now - 5


@pytest.mark.parametrize(
    ("says", "minutes"), [("00:20:00", 20), ("1-00:30:00", 1470), ("UNLIMITED", None), ("00:00:30", 0.5)]
)
def test_the_limit_of_a_job_is_what_slurm_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, minutes: float | None
) -> None:
    (tmp_path / "scontrol").write_text(f"#!/bin/sh\necho 'JobId=41 RunTime=00:00:01 TimeLimit={says} TimeMin=N/A'\n")
    (tmp_path / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert time_limit_min(JobIdentity("41")) == minutes
    assert time_limit_min(JobIdentity()) is None


def test_the_limit_counts_from_where_the_job_began(tmp_path: Path) -> None:
    """No signal comes: Slurm's was sent during `setup`. Its own clock must stop the job before Slurm kills it."""
    (tmp_path / "scontrol").write_text(f"#!/bin/sh\n{SHOW.format(preempted=None, ran='00:00:50')}\nexit 1\n")
    (tmp_path / "scontrol").chmod(0o755)
    env = {"SLURM_JOB_ID": "41", "PATH": f"{tmp_path}:/usr/bin:/bin"}
    with start_ranks("limited", 2, {"from": 0, "gain": 5, "work_s": 0}, tmp_path, env=env, time_min=1.0) as ranks:
        done = ranks.finish(30)  # by its ranks' clocks 48 s are left
    assert [each.returncode for each in done] == [75, 75], done[0].log
