"""What becomes of ranks that wait for each other in shared memory, where no thread of theirs can run."""

from __future__ import annotations

import signal
import socket
import time
from pathlib import Path

import pytest

from tests.kit.ranks import start_ranks

pytestmark = pytest.mark.faults


def buffers() -> set[str]:
    return {path.name for path in Path("/dev/shm").glob("deepspeed_allreduce_buffer_*")}


def nothing_left(before: set[str]) -> None:
    end = time.monotonic() + 10
    while buffers() - before:
        assert time.monotonic() < end, "69 MB each are left behind"
        time.sleep(0.1)


def test_a_rank_that_waits_in_shared_memory_for_a_dead_one_is_ended(tmp_path: Path) -> None:
    """Rank 0 turns in C code with the interpreter's lock: without a watchdog of its own it would for ever."""
    before = buffers()
    with start_ranks("tests.kit.trainings:killed_before_mapping", 2, {}, tmp_path) as ranks:
        end = time.monotonic() + 100
        while ranks.processes[1].poll() is None:
            assert time.monotonic() < end, ranks.logs()
            time.sleep(0.1)
        died = time.monotonic()
        done = ranks.finish(60)
    assert done[1].returncode == -signal.SIGKILL
    assert done[0].returncode == -signal.SIGKILL, ranks.logs()
    assert time.monotonic() - died < 40
    gone = f"rank 1 on {socket.gethostname()} has gone without a word; see its log"
    assert done[0].outcome == {"exit_code": 1, "message": gone, "restarts": 0, "echo": True}
    assert f"{gone}. No thread of this rank can run" in done[0].log
    assert "engine.py" in done[0].log, "where it stood"
    nothing_left(before)


def test_a_rank_without_a_buffer_of_its_own_ends_the_job(tmp_path: Path) -> None:
    """DeepSpeed looks at no error: that rank dies of it, or waits in C code as the others do, with no news at all."""
    before = buffers()
    with start_ranks("tests.kit.trainings:starved", 2, {}, tmp_path) as ranks:
        done = ranks.finish(100)
    assert all(rank.returncode < 0 for rank in done), ranks.logs()
    assert any("No thread of this rank can run" in rank.log for rank in done), ranks.logs()
    nothing_left(before)
