"""Checkpoints of a run: one at a time, written in the background, with an account of how long they held training."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpc.disk.files import atomic_write_json
from hpc.ranks.background import Background
from hpc.ranks.communicator import Communicator
from hpc.save.checkpoint import Checkpoint, checkpoint_name, verify_checkpoint
from hpc.save.retention import Retention, Verify
from hpc.save.saving import Save, Write
from snw_dist.train.progress import Progress

log = logging.getLogger(__name__)


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
        self._root, self._comm, self._fence = folder / "checkpoints", comm, fence
        self._names, self._keep_last, self._keep_every = folder / "checkpoints.json", keep_last, keep_every
        self._verify: Verify = verify_checkpoint
        self._retention = Retention(self._root, keep_last)
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

    def begin_from(self, found: Checkpoint | None, verify: Verify) -> None:
        """What the run was taken up from, by which check; None where it begins anew. See `Retention`."""
        self._verify, self._retention = verify, Retention(self._root, self._keep_last, verify)
        self._retention.begin_from(found)

    def begin(self, progress: Progress, meta: Mapping[str, Any], write: Write, started: float) -> None:
        """Begin to write the state of this step; held since `started`, when the copy of the state was begun."""
        assert self._save is None
        self._progress = progress
        self._save = Save(self._root, progress.step, meta, write, self._comm, self._fence, self._verify)
        self._held_s = time.monotonic() - started

    def commit(self, started: float) -> Committed | None:
        """Commit the save in flight and forget old ones, held since `started`; None when there is none."""
        save = self._save
        if save is None:
            return None
        self._save = None
        committed = save.commit()
        self._comm.on_rank_0(lambda: self._forget(committed))
        self._held_s += time.monotonic() - started
        self.total_held_s += self._held_s
        return Committed(self._progress.step, self._held_s, save.write_s, save.num_bytes)

    def _forget(self, committed: Path) -> None:
        """Keep the last ones, the best, and the multiples of `keep_every`; none of this undoes the save."""
        best, every = self._progress.best_step, self._keep_every
        named = {"last": committed.name} | ({} if best is None else {"best": checkpoint_name(best)})
        with _warned(self._names):
            atomic_write_json(self._names, named)
        with _warned(self._root):
            self._retention.after(committed, lambda step: step == best or bool(every and step % every == 0))


@contextlib.contextmanager
def _warned(path: Path) -> Iterator[None]:
    """What follows a save does not undo it."""
    try:
        yield
    except OSError as error:
        log.warning("%s: not brought up to date after the last save: %s", path, error)
