"""Work in a thread: what it moves is seen, how it ends is told; and a slow save is told from one that stands still."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from hpc.disk.files import write_new
from hpc.ranks.background import Background
from hpc.ranks.communicator import Communicator
from hpc.ranks.preemption import PreemptionGuard

SLOW_S = 0.25


def test_writing_and_reading_are_movement_and_waiting_is_none(tmp_path: Path) -> None:
    turns = [threading.Event() for _ in range(3)]
    done = [threading.Event() for _ in range(3)]

    def action() -> str:
        for turn, after in zip(turns, done, strict=True):
            assert turn.wait(20)
            if turn is turns[0]:
                write_new(tmp_path / "a", [b"1" * 1000, memoryview(b""), b"2"])
            elif turn is turns[1]:
                assert len((tmp_path / "a").read_bytes()) == 1001
            after.set()
        return "result"

    work = Background(action, "test")
    work.moved()
    assert [work.moved() for _ in range(3)] == [False] * 3
    for number, moved in enumerate([True, True, False]):
        turns[number].set()
        assert done[number].wait(20)
        assert work.moved() == moved, number
    assert work.result() == "result"
    assert not work.running


def test_a_failure_is_raised_where_the_result_is_asked_for() -> None:
    def fail() -> None:
        raise OSError(28, "No space left on device")

    work = Background(fail, "test")
    assert not work.wait(20)
    with pytest.raises(OSError, match="No space"):
        work.result()


def test_a_flush_after_every_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is in memory at once would be seen to stand still for as long as a slow disk then takes."""
    flushed: list[int] = []
    sync = os.fdatasync

    def slow(descriptor: int) -> None:
        flushed.append(os.fstat(descriptor).st_size)
        sync(descriptor)

    monkeypatch.setattr("hpc.disk.files._PIECE", 1000)
    monkeypatch.setattr(os, "fdatasync", slow)
    write_new(tmp_path / "a", [b"x" * 10, b"y" * 2500])
    assert flushed == [10, 1010, 2010]  # the rest is flushed with the size, by who asked for the file
    assert (tmp_path / "a").read_bytes() == b"x" * 10 + b"y" * 2500


@pytest.mark.parametrize("moves", [True, False])
def test_the_watchdog_knows_a_slow_disk_from_a_dead_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moves: bool
) -> None:
    """Asked to stop, with a watchdog of a second, while a file takes two: the rank is ended only if nothing moves."""
    ended: list[int] = []
    release = threading.Event()

    def end(code: int) -> None:
        ended.append(code)
        release.set()

    def action() -> None:
        with (tmp_path / "slow").open("wb", buffering=0) as file:
            for _ in range(8 if moves else 1):
                file.write(b"piece")
                release.wait(SLOW_S if moves else 20)

    monkeypatch.setattr(os, "_exit", end)
    with PreemptionGuard(Communicator.alone(), time_left_s=0.0, watchdog_s=1.0) as guard:
        started = time.monotonic()
        guard.wait_for(Background(action, "test"))
    assert set(ended) == (set() if moves else {75})
    assert time.monotonic() - started > (8 * SLOW_S if moves else 1.0)
    with PreemptionGuard(Communicator.alone(), time_left_s=0.0) as guard:
        guard.wait_for(None)
