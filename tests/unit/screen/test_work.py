"""Units of work are all done, whoever of several tasks lives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hpc.errors import CorruptError, Preempted
from snw_dist.screen.work import do_all
from tests.kit.screen_tools import runtime_of


class Numbers:
    """Units that are done once they are in a list."""

    kind, unit = "numbers", "numbers"

    def __init__(self, count: int, fails: bool = False) -> None:
        self.count, self.fails, self.done, self.verified = count, fails, list[int](), list[int]()

    def __len__(self) -> int:
        return self.count

    def size(self, number: int) -> int:
        return 1

    def has(self, number: int, verify: bool) -> bool:
        self.verified += [number] if verify else []
        return number in self.done

    def do(self, number: int, checkpoint: Callable[[], None]) -> None:
        checkpoint()
        if self.fails:
            raise CorruptError("gone")
        self.done.append(number)


def test_a_task_does_what_the_others_have_left(tmp_path: Path) -> None:
    units = Numbers(10)
    do_all(units, runtime_of(tmp_path, task=2, tasks=3), lambda: False)
    assert sorted(units.done) == [*range(10)]
    assert units.done[:3] == [2, 5, 8]
    do_all(units, runtime_of(tmp_path, task=0, tasks=3), lambda: False)
    assert len(units.done) == 10
    assert sorted(units.verified) == [0, 2, 3, 5, 6, 8, 9], "each looks at the bytes of its own share"


def test_a_task_that_is_to_stop_says_what_is_done(tmp_path: Path) -> None:
    units = Numbers(10)
    with pytest.raises(Preempted) as stopped:
        do_all(units, runtime_of(tmp_path, stop_at=7), lambda: False)
    assert stopped.value.done == len(units.done)
    assert 0 < len(units.done) < 10


def test_what_another_job_has_completed_meanwhile_is_no_error(tmp_path: Path) -> None:
    answers = iter([False, True])
    do_all(Numbers(10, fails=True), runtime_of(tmp_path), lambda: next(answers))
    with pytest.raises(CorruptError, match="gone"):
        do_all(Numbers(10, fails=True), runtime_of(tmp_path), lambda: False)
