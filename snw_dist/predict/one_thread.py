"""Passes of a network on a CPU, each computed by one thread, and as many at once as torch has threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol, TypeVar

import torch

_Input = TypeVar("_Input")
_Output = TypeVar("_Output")


class Each(Protocol):
    """Makes a pass of every input; the results are in the order of the inputs."""

    def __call__(self, make: Callable[[_Input], _Output], inputs: Iterable[_Input]) -> list[_Output]:
        """Raises what a pass raises."""
        ...


@contextmanager
def passes_side_by_side() -> Iterator[Each]:
    """Threads share passes, never a product: where they share one, their number decides in which order it is added."""
    threads = torch.get_num_threads()

    def each(make: Callable[[_Input], _Output], inputs: Iterable[_Input]) -> list[_Output]:
        def one(item: _Input) -> _Output:
            with torch.inference_mode():  # each thread has this setting for itself
                return make(item)

        return list(pool.map(one, inputs))

    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield each
    finally:
        torch.set_num_threads(threads)  # torch gives the last number set to threads that begin later
