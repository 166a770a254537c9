"""Dynamic sharing of numbered work units between the ranks of a job, by an atomic counter.

With MPI the counter is a number in rank 0's memory that the others add to from afar (`MPI_Fetch_and_op`, one-sided);
without MPI it is a key of the rendezvous store, which rank 0 serves too. This is the only module that imports mpi4py.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import threading
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from hpc.errors import EnvironmentProblem
from hpc.ranks.communicator import Communicator

_PROGRESS_S = 0.002


class Counter(Protocol):
    """A number shared by all ranks."""

    def next(self) -> int:
        """Its value, which nobody else gets: 0, 1, 2, ..."""


class StoreCounter:
    """A counter in the rendezvous store; `name` must be new for each round of work."""

    def __init__(self, comm: Communicator, name: str) -> None:
        self._store, self._key = comm.store, f"units/{name}"

    def next(self) -> int:
        """See `Counter`."""
        return int(self._store.add(self._key, 1)) - 1


class MpiCounter:
    """A counter in a window of rank 0's memory (MPI-3 one-sided communication, passive target)."""

    def __init__(self, window: Any, add: Any) -> None:
        self._window, self._add = window, add

    def next(self) -> int:
        """See `Counter`."""
        one, before = np.ones(1, dtype=np.int64), np.empty(1, dtype=np.int64)
        self._window.Lock(0)
        self._window.Fetch_and_op(one, before, 0, 0, self._add)
        self._window.Unlock(0)
        return int(before[0])


@contextlib.contextmanager
def shared_counter(comm: Communicator, name: str, mpi: bool) -> Iterator[Counter]:
    """Collective: a counter for all ranks of a job, taken down together at the end.

    `mpi`: the launcher has started the ranks as one MPI job. Raises `EnvironmentProblem` where it has not.
    """
    if not mpi:
        yield StoreCounter(comm, name)  # its memory is rank 0's process, which waits at its end for the others
        return
    if comm.any(importlib.util.find_spec("mpi4py") is None):
        raise EnvironmentProblem(
            "the site profile starts ranks with MPI, but mpi4py is not installed on every node: pip install mpi4py "
            'against the site\'s MPI, or set "mpi": "none" in the profile.'
        )
    import mpi4py

    # At the exit of a rank that fails, MPI_Finalize would wait for the others for ever: see `leave_mpi`.
    mpi4py.rc.finalize = False
    from mpi4py import MPI

    world = MPI.COMM_WORLD
    if comm.any(world.size != comm.world_size or world.rank != comm.rank):
        raise EnvironmentProblem(
            f"MPI sees {world.size} rank(s), the job has {comm.world_size}: the MPI of mpi4py and `srun --mpi` do not "
            'fit. Set "mpi" in the site profile to what `srun --mpi=list` and your MPI share, or to "none".'
        )
    window = MPI.Win.Allocate(8 if world.rank == 0 else 0, disp_unit=8, comm=world)
    if world.rank == 0:
        window.tomemory()[:] = bytes(8)
    world.Barrier()
    done = threading.Event()
    progress = threading.Thread(target=_keep_answering, args=(world, done), name="mpi-progress", daemon=True)
    if world.rank == 0:
        progress.start()
    yield MpiCounter(window, MPI.SUM)
    comm.barrier()
    done.set()
    if world.rank == 0:
        progress.join()
    window.Free()


def leave_mpi() -> None:
    """Collective: the end of MPI, if this process has used it; for ranks that end well.

    A rank that ends without it counts as lost, and the launcher kills those that have not yet ended.
    """
    if "mpi4py.MPI" in sys.modules:
        from mpi4py import MPI

        MPI.Finalize()


def _keep_answering(world: Any, done: threading.Event) -> None:
    """Over networks without atomics of their own, MPI answers one-sided calls only while the target is inside MPI.

    Rank 0 computes for minutes without calling MPI, and the other ranks would wait for it with empty hands.
    """
    while not done.wait(_PROGRESS_S):
        world.Iprobe()


def claim_units(comm: Communicator, counter: Counter, num_units: int) -> Iterator[int]:
    """Yield the units this rank owns, each unit to exactly one rank.

    Units are handed out in blocks (`guided_blocks`). The first block of rank r is block r, so that every rank has work
    as long as there is enough however long it took to start; a slow rank does not hold up the others.
    """
    blocks = guided_blocks(num_units, comm.world_size)
    number = comm.rank
    while number < len(blocks):
        yield from blocks[number]
        number = comm.world_size + counter.next()


def guided_blocks(num_units: int, world_size: int) -> list[range]:
    """Cut the units into blocks that become smaller: a third of an even share of what is left, one in the end.

    Guided self-scheduling (Polychronopoulos and Kuck, 1987). One claim for each unit would be too much for one counter
    with thousands of ranks; in the end single units keep the ranks busy until all are done.
    """
    blocks, start = [], 0
    while start < num_units:
        stop = start + max(1, (num_units - start) // (3 * world_size))
        blocks.append(range(start, stop))
        start = stop
    return blocks
