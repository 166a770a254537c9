"""Writing a checkpoint: begun by all ranks together, written by each in a thread, committed by all together.

Every rank writes its files into one hidden staging folder, makes them durable and takes their digests; when all have,
rank 0 writes `manifest.json`, renames the folder and makes the rename durable. The thread takes part in no collective:
one in a thread could meet those of the training in another order on another rank.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from hpc.checkpoint import (
    FORMAT_VERSION,
    MANIFEST,
    SUPERSEDED,
    checkpoint_name,
    file_digest,
    is_inside,
    manifest_digest,
    superseded_name,
)
from hpc.communicator import Communicator, described, error_of
from hpc.errors import CorruptError, SnwError
from hpc.files import atomic_write_json, fsync_folder

log = logging.getLogger(__name__)
Write = Callable[[Path], Iterable[str]]
_Failure = list[str] | None  # see `hpc.communicator.described`


class Save:
    """One checkpoint on its way; never begin a second one before the first is committed.

    `write(folder)` writes this rank's files, in a thread, and returns their names relative to it, none of which another
    rank uses. `fence()` is called by rank 0 before anything is touched and again just before the commit; it raises if
    this incarnation was superseded. If any rank fails, no rank commits, the staging folder is removed and
    `CorruptError` (exit 3) is raised on all, or the `SnwError` that the rank met.
    """

    def __init__(
        self,
        root: Path,
        step: int,
        meta: Mapping[str, Any],
        write: Write,
        comm: Communicator,
        fence: Callable[[], None] = lambda: None,
    ) -> None:
        """Collective: make the staging folder and begin to write."""
        self._final = root / checkpoint_name(step)
        self._comm, self._fence = comm, fence
        facts = {"format_version": FORMAT_VERSION, "step": step, "world_size": comm.world_size}
        self._header: dict[str, Any] = {**facts, "meta": dict(meta)}
        # The name is this save's own: a stale incarnation must not write into, or remove, the folder of its successor.
        name = comm.broadcast(f".{checkpoint_name(step)}.{secrets.token_hex(4)}.staging")
        self._staging = root / name
        self._raise_first([comm.on_rank_0(lambda: _attempt(self._begin))])
        self._entries: dict[str, dict[str, Any]] = {}
        self._failed: _Failure = None
        self.write_s = 0.0
        """Seconds that this rank wrote, made durable and hashed."""
        self.num_bytes = 0
        """Size of the files of all ranks, once committed."""
        self._thread = threading.Thread(target=self._run, args=(write,), name="checkpoint-writer", daemon=True)
        self._thread.start()

    @property
    def writing(self) -> bool:
        """This rank's files are not all written yet; that all ranks have is for them to agree upon."""
        return self._thread.is_alive()

    def wait(self, timeout_s: float) -> bool:
        """Wait for this rank's files, at most so long; whether it is still writing."""
        self._thread.join(timeout_s)
        return self.writing

    def commit(self) -> Path:
        """Collective: wait for the files of all ranks and make them a checkpoint; its folder."""
        self._thread.join()
        reports = self._comm.gather((self._failed, self._entries))
        problems: list[_Failure] = [failed for failed, _ in reports]
        if self._comm.rank == 0 and not any(problems):
            problems[0] = _attempt(lambda: self._publish([entries for _, entries in reports]))
        self._raise_first(self._comm.broadcast(problems))
        self.num_bytes = sum(entry["bytes"] for _, entries in reports for entry in entries.values())
        return self._final

    def _begin(self) -> None:
        self._fence()
        _clear(self._final.parent)
        self._staging.mkdir(parents=True)

    def _run(self, write: Write) -> None:
        started = time.monotonic()
        self._failed = _attempt(
            lambda: self._entries.update({name: _durable_entry(self._staging / name) for name in write(self._staging)})
        )
        self.write_s = time.monotonic() - started

    def _publish(self, parts: list[dict[str, dict[str, Any]]]) -> None:
        files = {name: entry for part in parts for name, entry in part.items()}
        if len(files) != sum(len(part) for part in parts) or not all(is_inside(name) for name in files):
            raise ValueError(f"two ranks wrote the same file, or one outside its folder: {sorted(files)}")
        # Through JSON once, because keys that are numbers sort otherwise than the text that is read back.
        manifest = json.loads(json.dumps(self._header | {"files": files}))
        atomic_write_json(self._staging / MANIFEST, manifest | {"sha256": manifest_digest(manifest)})
        for folder in {self._staging / parent for name in files for parent in Path(name).parents}:
            fsync_folder(folder)
        self._fence()
        superseded = self._final.with_name(f".{self._final.name}{SUPERSEDED}")
        if self._final.exists():  # the same step again, or one that did not verify
            self._final.rename(superseded)
        self._staging.rename(self._final)
        fsync_folder(self._final.parent)
        shutil.rmtree(superseded, ignore_errors=True)

    def _raise_first(self, problems: list[_Failure]) -> None:
        for rank, failed in enumerate(problems):  # a failed begin or commit is rank 0's
            if failed is None:
                continue
            root = self._final.parent
            free = shutil.disk_usage(root).free / 1e9 if root.exists() else 0.0
            if self._comm.rank == 0:
                shutil.rmtree(self._staging, ignore_errors=True)
            kind, text = failed
            if kind:
                raise error_of(failed, f"rank {rank}")
            raise CorruptError(
                f"{self._final}: the checkpoint could not be written (rank {rank}: {text}); {free:.1f} GB are free "
                "there. Older checkpoints are untouched; make room and start the same command again."
            )


def save_checkpoint(
    root: Path,
    step: int,
    meta: Mapping[str, Any],
    write: Write,
    comm: Communicator,
    fence: Callable[[], None] = lambda: None,
) -> Path:
    """Collective: begin a `Save` and commit it at once."""
    return Save(root, step, meta, write, comm, fence).commit()


def _clear(root: Path) -> None:
    """Undo what killed saves left behind; only one save is active, because the fence has been asked."""
    for path in root.glob(f".step_*{SUPERSEDED}"):
        final = root / superseded_name(path)
        if final.exists():
            shutil.rmtree(path)
        else:
            path.rename(final)
    for path in root.glob(".step_*.staging"):
        shutil.rmtree(path)


def _durable_entry(path: Path) -> dict[str, Any]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return {"bytes": path.stat().st_size, "sha256": file_digest(path)}


def _attempt(action: Callable[[], None]) -> _Failure:
    """What went wrong. Any exception counts: torch, for one, reports a full disk as `RuntimeError`."""
    try:
        action()
    except Exception as error:
        if not isinstance(error, SnwError):
            log.exception("the checkpoint could not be written")
        return described(error)
    return None
