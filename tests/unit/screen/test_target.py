"""The folder of a screen is begun by one command at a time."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from snw_dist.screen.target import one_at_a_time


def test_commands_that_come_at_once_wait_for_each_other(tmp_path: Path) -> None:
    """As the tasks of an array do: each would remove what the other has just left."""
    inside: list[int] = []
    most: list[int] = []

    def begin(number: int) -> None:
        with one_at_a_time(tmp_path / "screen"):
            inside.append(number)
            most.append(len(inside))
            time.sleep(0.05)
            inside.remove(number)

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]
