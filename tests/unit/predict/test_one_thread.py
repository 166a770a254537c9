"""Passes side by side: each by one thread, in order, and the threads of the process are left as they were."""

from __future__ import annotations

import threading

import pytest
import torch

from snw_dist.predict.one_thread import passes_side_by_side


@pytest.fixture
def two_threads():  # type: ignore[no-untyped-def]
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_each_pass_has_one_thread_and_two_run_at_once(two_threads: None) -> None:
    both = threading.Barrier(2, timeout=60)  # broken where one waits for the other

    def make(number: int) -> tuple[int, int, bool]:
        both.wait()
        return number, torch.get_num_threads(), torch.is_inference_mode_enabled()

    with passes_side_by_side() as each:
        assert each(make, range(4)) == [(number, 1, True) for number in range(4)]


def test_the_threads_of_the_process_are_left_as_they_were(two_threads: None) -> None:
    def fails(_: int) -> None:
        raise OSError("no rows")

    with pytest.raises(OSError, match="no rows"), passes_side_by_side() as each:
        each(fails, [1])
    seen = [torch.get_num_threads()]
    later = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert seen == [2, 2]
