"""Checkpoints of a run: one at a time, written in the background, with an account of how long they held training."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpc.background import Background
from hpc.checkpoint import checkpoint_name, committed_checkpoints, prune_checkpoints, step_of
from hpc.communicator import Communicator
from hpc.files import atomic_write_json
from hpc.saving import Save, Write
from snw_dist.train.state import Progress


@dataclass(frozen=True)
class Committed:
    """What one checkpoint took on this rank."""

    step: int
    held_s: float
    """Seconds that training stood still for it."""
    write_s: float
    """Seconds in the background: writing, making durable, hashing."""
    num_bytes: int


class Saves:
    """At most one save is in flight; all methods are collective."""

    def __init__(
        self, folder: Path, comm: Communicator, fence: Callable[[], None], keep_last: int, keep_every: int
    ) -> None:
        self._folder, self._comm, self._fence = folder, comm, fence
        self._keep_last, self._keep_every = keep_last, keep_every
        self._save: Save | None = None
        self._progress = Progress()
        self._held_s = 0.0
        self.total_held_s = 0.0
        """Seconds that all saves together have held training."""

    @property
    def writing(self) -> bool:
        """Whether this rank is still writing."""
        return self._save is not None and self._save.writing

    @property
    def in_flight(self) -> Background[None] | None:
        """This rank's part of the save in flight; all ranks have one, or none has."""
        return None if self._save is None else self._save.work

    def begin(self, progress: Progress, meta: Mapping[str, Any], write: Write, started: float) -> None:
        """Begin to write the state of this step; held since `started`, when the copy of the state was begun."""
        assert self._save is None
        self._progress = progress
        self._save = Save(self._folder / "checkpoints", progress.step, meta, write, self._comm, self._fence)
        self._held_s = time.monotonic() - started

    def commit(self, started: float) -> Committed | None:
        """Commit the save in flight and forget old ones, held since `started`; None when there is none."""
        save = self._save
        if save is None:
            return None
        self._save = None
        save.commit()
        self._comm.on_rank_0(self._forget)
        self._held_s += time.monotonic() - started
        self.total_held_s += self._held_s
        return Committed(self._progress.step, self._held_s, save.write_s, save.num_bytes)

    def _forget(self) -> None:
        """Keep the last ones, the best, and the multiples of `keep_every`."""
        root, best = self._folder / "checkpoints", self._progress.best_step
        named = {"last": self._progress.step} | ({} if best is None else {"best": best})
        atomic_write_json(
            self._folder / "checkpoints.json", {kind: checkpoint_name(step) for kind, step in named.items()}
        )
        steps = [step_of(path) for path in committed_checkpoints(root)]
        pinned = [step for step in steps if self._keep_every and step % self._keep_every == 0]
        prune_checkpoints(root, self._keep_last, [*pinned, *([] if best is None else [best])])
