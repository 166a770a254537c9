"""Units of work that are done by whoever comes: ranks of a job, tasks of an array, or several jobs at once.

A unit is a file that appears as a whole and has the same bytes whoever makes it. So nobody has to own a unit: who finds
it done goes on to the next one, and two who make the same one at the same time lose some time and nothing else. A task
of an array does its own share first, and then what others have not done: a task that was killed holds up nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from hpc.errors import CorruptError, Preempted
from hpc.job.runtime import Runtime
from hpc.ranks.work_queue import claim_units, shared_counter
from snw_dist.screen.plan import in_turn


class StoppedError(Exception):
    """The unit was given up, because the job was asked to stop."""


class Units(Protocol):
    """One kind of work, in numbered units."""

    kind: str
    """What is done, for people."""
    unit: str
    """What `size` counts."""

    def __len__(self) -> int: ...

    def size(self, number: int) -> int:
        """How much a unit is."""
        ...

    def has(self, number: int, verify: bool) -> bool:
        """Whether a unit is done; with `verify` its bytes are looked at."""
        ...

    def do(self, number: int, checkpoint: Callable[[], None]) -> None:
        """Do a unit; `checkpoint` is called now and then, and raises `StoppedError` where it is to be given up."""
        ...


def do_all(units: Units, runtime: Runtime, finished: Callable[[], bool]) -> None:
    """Collective: returns once every unit is done.

    `finished`: another job has completed the whole meanwhile, and what was made on the way may be gone. Raises
    `Preempted` where the job was asked to stop; what is done stays.
    """
    order = in_turn(len(units), runtime.array_task, runtime.num_array_tasks)
    with shared_counter(runtime.comm, f"{units.kind}-{runtime.attempt}", runtime.mpi) as counter:
        claimed = (order[place] for place in claim_units(runtime.comm, counter, len(order)))
        try:
            _do(units, claimed, runtime, finished)
        except StoppedError:
            pass
        except (CorruptError, OSError):  # what it stood on has gone, if another job was faster
            if not finished():
                raise
    if runtime.comm.any(runtime.stop_requested()):
        count = sum(units.has(number, verify=False) for number in range(len(units)))
        raise Preempted(f"asked to stop; what is done of {units.kind} is kept, the same command goes on", count)


def _do(units: Units, claimed: Iterator[int], runtime: Runtime, finished: Callable[[], bool]) -> None:
    task, num_tasks = runtime.array_task, runtime.num_array_tasks
    total, done = sum(units.size(number) for number in range(task, len(units), num_tasks)), 0

    def checkpoint() -> None:
        if runtime.stop_requested():
            raise StoppedError

    for number in claimed:
        if finished():
            return
        own = number % num_tasks == task
        if not units.has(number, verify=own):
            checkpoint()
            units.do(number, checkpoint)
        done += units.size(number) if own else 0
        runtime.progress.update(units.kind, done, total, units.unit)
