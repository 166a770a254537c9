"""Work in a thread of which the waiting ranks can see whether it moves: a slow disk is no hang, a dead one is.

What counts is what the thread has read and written, as the kernel counts it at every call. Long writes must therefore
be made in pieces that are durable before the next one (`hpc.disk.files`): otherwise a file of gigabytes goes
into memory at once, and minutes are then spent in one `fsync` in which nothing is counted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")
_COUNTED = ("rchar", "wchar")


class Background(Generic[T]):
    """An action in a thread; the thread takes part in no collective."""

    def __init__(self, action: Callable[[], T], name: str) -> None:
        self._action = action
        self._results: list[T] = []
        self._failure: BaseException | None = None
        self._seen = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._thread.is_alive()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the end, at most so long; whether it is still running."""
        self._thread.join(timeout_s)
        return self.running

    def moved(self) -> bool:
        """Whether it has read or written anything since this was last asked."""
        now = _bytes_of(self._thread.native_id)
        if now is None:  # it has ended; or this kernel does not count, and then running is all that can be known
            return self.running
        before, self._seen = self._seen, now
        return now != before

    def result(self) -> T:
        """Wait for the end: what the action returned, or raised."""
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        return self._results[0]

    def _run(self) -> None:
        try:
            self._results.append(self._action())
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
            self._failure = error


def _bytes_of(thread: int | None) -> int | None:
    """What a thread of this process has read and written; None where the kernel does not say."""
    try:
        lines = Path(f"/proc/self/task/{thread}/io").read_text().splitlines()
    except OSError:
        return None
    return sum(int(value) for name, _, value in (line.partition(":") for line in lines) if name in _COUNTED)
