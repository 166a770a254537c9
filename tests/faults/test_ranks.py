"""What becomes of the others when one rank is gone or stands still."""

import signal
import socket
import time
from pathlib import Path

import pytest

from hpc.ranks.peers import GRACE_S
from tests.kit.ranks import start_ranks

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("victim", [0, 2])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_dead_rank_ends_the_job(tmp_path: Path, victim: int, number: signal.Signals) -> None:
    with start_ranks("steps", 3, {}, tmp_path) as ranks:
        ranks.wait_for_files(*(f"running-rank{rank}.json" for rank in range(3)))
        ranks.send(number, victim)
        started = time.monotonic()
        done = ranks.finish(60)
    assert time.monotonic() - started < 30
    assert done[victim].returncode == -number
    for rank in done:
        if rank.rank != victim:
            assert rank.returncode == 1, rank.log
            said = f"rank {victim} on {socket.gethostname()} has gone without a word"
            assert rank.outcome["message"] == f"{said}; see its log"
            assert rank.outcome["echo"]
            assert said in rank.log
            assert "Traceback" not in rank.log, "what its collective says is no cause"
            assert "Connection closed" not in rank.log
            assert not (tmp_path / "job" / f"stopped-rank{rank.rank}.json").exists()


def test_ranks_outside_a_collective_do_not_outlive_one_that_died(tmp_path: Path) -> None:
    """Nothing but the watch can notice here, as where NCCL or gloo waits for a dead peer."""
    with start_ranks("idle", 3, {}, tmp_path) as ranks:
        ranks.wait_for_files(*(f"running-rank{rank}.json" for rank in range(3)))
        started = time.monotonic()
        ranks.send(signal.SIGKILL, 1)
        done = ranks.finish(60)
    assert GRACE_S <= time.monotonic() - started < GRACE_S + 10
    assert [rank.returncode for rank in done] == [1, -signal.SIGKILL, 1], ranks.logs()
    for rank in (done[0], done[2]):
        assert f"rank 1 on {socket.gethostname()} has gone without a word" in rank.log
        assert rank.outcome["echo"]


def test_a_rank_that_fails_alone_ends_the_job(tmp_path: Path) -> None:
    with start_ranks("fail_alone", 3, {"failing_rank": 1}, tmp_path) as ranks:
        done = ranks.finish(60)
    assert [rank.returncode for rank in done] == [1, 2, 1], ranks.logs()
    assert done[1].outcome["message"] == "only rank 1 saw this"
    assert [rank.outcome.get("echo", False) for rank in done] == [True, False, True]


def test_a_rank_killed_while_it_starts_is_named(tmp_path: Path) -> None:
    with start_ranks("nothing", 2, {}, tmp_path, startup_deadline_s=3.0, present=[0]) as ranks:
        ranks.start(1)
        ranks.send(signal.SIGKILL, 1)
        done = ranks.finish(60)
    assert done[0].returncode == 4, done[0].log
    assert "missing: [1]" in done[0].outcome["message"]
