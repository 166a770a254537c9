"""Results of a function, computed in a thread before they are needed.

The thread ignores the job's signals by construction: Python runs handlers in the main thread only. There is no other
process, so nothing has to be pickled, nothing outlives the rank, and what was read stays where it is.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")


class Prefetch(Generic[T]):
    """Iterator over `make(first)`, `make(first + 1)`, ..., `make(stop - 1)`, up to `depth` of them ahead of time.

    What `make` raises is raised where its result would have come.
    """

    def __init__(self, make: Callable[[int], T], first: int, stop: int, depth: int = 2) -> None:
        self._make, self._numbers = make, iter(range(first, stop))
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="prefetch")
        self._waiting: deque[Future[T]] = deque()
        self.waited_s = 0.0
        """Seconds that the last result was waited for."""
        for _ in range(depth):
            self._submit()

    def __iter__(self) -> Prefetch[T]:
        return self

    def __next__(self) -> T:
        if not self._waiting:
            raise StopIteration
        started = time.monotonic()
        result = self._waiting.popleft().result()
        self.waited_s = time.monotonic() - started
        self._submit()
        return result

    def close(self) -> None:
        """Drop what was not asked for; waits for what is being computed."""
        self._pool.shutdown(cancel_futures=True)

    def _submit(self) -> None:
        number = next(self._numbers, None)
        if number is not None:
            self._waiting.append(self._pool.submit(self._make, number))
