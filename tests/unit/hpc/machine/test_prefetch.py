"""Results ahead of time: the same ones, in order, with what went wrong in its place."""

from __future__ import annotations

import threading

import pytest

from hpc.machine.prefetch import Prefetch


@pytest.mark.parametrize("depth", [1, 2, 5, 100])
def test_every_result_once_and_in_order(depth: int) -> None:
    ahead = Prefetch(lambda number: number**2, 3, 20, depth)
    assert list(ahead) == [number**2 for number in range(3, 20)]
    assert list(ahead) == []
    ahead.close()


def test_it_works_ahead_but_not_farther_than_told() -> None:
    made: list[int] = []
    done = threading.Semaphore(0)

    def make(number: int) -> int:
        made.append(number)
        done.release()
        return number

    ahead = Prefetch(make, 0, 10, depth=2)
    for number in range(5):
        for _ in range(2 if number == 0 else 1):
            assert done.acquire(timeout=20)
        assert made == list(range(number + 2))
        assert next(ahead) == number
    ahead.close()
    assert len(made) <= 7


def test_the_time_is_measured_that_a_result_is_waited_for() -> None:
    release = threading.Event()

    def make(number: int) -> int:
        assert number == 0 or release.wait(20)
        return number

    ahead = Prefetch(make, 0, 2)
    assert next(ahead) == 0
    threading.Timer(0.3, release.set).start()
    assert next(ahead) == 1
    assert ahead.waited_s > 0.1
    ahead.close()


def test_an_error_comes_where_its_result_would_have_come() -> None:
    def make(number: int) -> int:
        if number == 2:
            raise ValueError("the third")
        return number

    ahead = Prefetch(make, 0, 5, depth=4)
    assert [next(ahead), next(ahead)] == [0, 1]
    with pytest.raises(ValueError, match="the third"):
        next(ahead)
    ahead.close()


def test_nothing_runs_on_after_the_end() -> None:
    before = threading.active_count()
    ahead = Prefetch(lambda number: number, 0, 10**9)
    next(ahead)
    ahead.close()
    assert threading.active_count() == before


def test_the_thread_is_not_the_one_that_signals_go_to() -> None:
    ahead = Prefetch(lambda number: threading.current_thread() is threading.main_thread(), 0, 1)
    assert next(ahead) is False
    ahead.close()
