"""When the state of a run is saved, and of what it is made; how it is written is in `saves`."""

from __future__ import annotations

import dataclasses
import time

from hpc.ranks.communicator import Communicator
from hpc.ranks.preemption import PreemptionGuard
from snw_dist.train.engine import Engine
from snw_dist.train.identity import Identity
from snw_dist.train.portable import write_snapshot
from snw_dist.train.progress import Progress
from snw_dist.train.record import Record
from snw_dist.train.saves import Saves


class Checkpoints:
    """The checkpoints of a run as it goes; all methods are collective."""

    def __init__(
        self,
        saves: Saves,
        engine: Engine,
        identity: Identity,
        record: Record,
        comm: Communicator,
        guard: PreemptionGuard,
        saved: Progress | None,
    ) -> None:
        """`saved`: what the newest checkpoint says, where there is one."""
        self._saves, self._engine, self._identity, self._record = saves, engine, identity, record
        self._rank, self._guard = comm.rank, guard
        self._saved = saved
        self.any = saved is not None
        """Whether there is a checkpoint that is committed."""

    @property
    def writing(self) -> bool:
        """Whether this rank is still writing one."""
        return self._saves.writing

    @property
    def held_s(self) -> float:
        """Seconds that the checkpoints of this job together have held training."""
        return self._saves.total_held_s

    def save(self, progress: Progress) -> None:
        """Begin to save the state of this step, once; a save that is still in flight is waited for."""
        if self._saved == progress:
            return
        self.commit()
        started, rank, state = time.monotonic(), self._rank, self._engine.snapshot()
        meta = {
            "progress": dataclasses.asdict(progress),
            "trajectory": self._identity.trajectory,
            "provenance": self._identity.provenance,
            "state": self._engine.facts(),
        }
        now = dataclasses.replace(progress)
        self._saves.begin(now, meta, lambda folder: write_snapshot(folder, rank, state), started)
        self._saved = now

    def commit(self) -> None:
        """Commit the save in flight, if there is one; it may be that of an earlier step, and so is its record."""
        started = time.monotonic()
        if (writing := self._saves.in_flight) is not None:
            self._guard.wait_for(writing)
        done = self._saves.commit(started)
        if done is not None:
            self.any = True
            self._record.save(done)

    def save_and_commit(self, progress: Progress) -> None:
        """Have this step committed before anything else is done."""
        self.save(progress)
        self.commit()
