"""Dynamic sharing of numbered work units between ranks, by an atomic counter."""

from __future__ import annotations

from collections.abc import Iterator

from hpc.communicator import Communicator


def claim_units(comm: Communicator, name: str, num_units: int) -> Iterator[int]:
    """Yield the units this rank owns, each unit to exactly one rank.

    The first unit of rank r is unit r, so that every rank has work as long as there are enough units however long it
    took to start; the rest is handed out one by one, so that a slow rank does not hold up the others. `name` must be
    new for each round of work. The counter lives in rank 0's process, which therefore waits at its end for the others.
    """
    unit = comm.rank
    while unit < num_units:
        yield unit
        unit = comm.world_size + comm.store.add(f"units/{name}", 1) - 1
