"""Writing a checkpoint: begun by all ranks together, written by each in a thread, committed by all together.

Every rank writes its files into one hidden staging folder, makes them durable and takes their digests; when all have,
rank 0 writes `manifest.json`, renames the folder and makes the rename durable. The thread takes part in no collective:
one in a thread could meet those of the training in another order on another rank.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from hpc.disk.files import atomic_write_bytes, file_digest, fsync_folder
from hpc.errors import CorruptError, SnwError
from hpc.ranks.background import Background
from hpc.ranks.communicator import Communicator, described, error_of
from hpc.save.checkpoint_names import (
    checkpoint_name,
    is_staging,
    original_name,
    place_of,
    staging_name,
    superseded_name,
)
from hpc.save.manifest import (
    FORMAT_VERSION,
    MANIFEST,
    MOST_BYTES,
    checked_manifest,
    is_inside,
    manifest_digest,
    verify_checkpoint,
)
from hpc.save.retention import Verify, remove, set_aside

log = logging.getLogger(__name__)
Write = Callable[[Path], Iterable[str]]
_Failure = list[str] | None  # see `hpc.ranks.communicator.described`


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
        verify: Verify = verify_checkpoint,
    ) -> None:
        """Collective: make the staging folder and begin to write.

        An older checkpoint of the same step is deleted by the commit if it passes `verify`, else set aside.
        """
        self._final = root / checkpoint_name(step)
        self._comm, self._fence, self._verify = comm, fence, verify
        facts = {"format_version": FORMAT_VERSION, "step": step, "world_size": comm.world_size}
        self._header: dict[str, Any] = {**facts, "meta": dict(meta)}
        # The name is this save's own: a stale incarnation must not write into, or remove, the folder of its successor.
        name = comm.broadcast(staging_name(checkpoint_name(step), secrets.token_hex(4)))
        self._staging = root / name
        self._raise_first([comm.on_rank_0(lambda: _attempt(self._begin))])
        self._entries: dict[str, dict[str, Any]] = {}
        self._failed: _Failure = None
        self.write_s = 0.0
        """Seconds that this rank wrote, made durable and hashed."""
        self.num_bytes = 0
        """Size of the files of all ranks, once committed."""
        self.work = Background(lambda: self._run(write), "checkpoint-writer")
        """The writing of this rank's files."""

    @property
    def writing(self) -> bool:
        """This rank's files are not all written yet; that all ranks have is for them to agree upon."""
        return self.work.running

    def commit(self) -> Path:
        """Collective: wait for the files of all ranks and make them a checkpoint; its folder, as rank 0 knows it."""
        self.work.wait()
        reports = self._comm.gather((self._failed, self._entries))
        problems: list[_Failure] = [failed for failed, _ in reports]
        if self._comm.rank == 0 and not any(problems):
            problems[0] = _attempt(lambda: self._publish([entries for _, entries in reports]))
        self._raise_first(self._comm.broadcast(problems))
        self.num_bytes = sum(entry["bytes"] for _, entries in reports for entry in entries.values())
        return self._final

    def _begin(self) -> None:
        self._fence()
        _clear(self._final.parent, self._verify)
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
        manifest = json.loads(json.dumps(self._header | {"files": files}, allow_nan=False))
        data = json.dumps(manifest | {"sha256": manifest_digest(manifest)}, indent=2, sort_keys=True).encode()
        if len(data) > MOST_BYTES:
            raise ValueError(f"a manifest of {len(data):,} bytes, more than the {MOST_BYTES:,} that are read")
        checked_manifest(data, self._staging / MANIFEST)
        atomic_write_bytes(self._staging / MANIFEST, data + b"\n")
        for folder in {self._staging / parent for name in files for parent in Path(name).parents}:
            fsync_folder(folder)
        self._fence()
        superseded = self._make_way()
        self._staging.rename(self._final)
        fsync_folder(self._final.parent)
        _discard(superseded, self._verify)

    def _make_way(self) -> Path:
        """Rename an older folder of the same step, one that did not verify perhaps; the name that it has then."""
        superseded = self._final.with_name(superseded_name(self._final.name))
        if os.path.lexists(self._final):
            try:
                self._final.rename(superseded)
            except OSError as error:
                taken = self._final
                while os.path.lexists(self._final):
                    step, again = place_of(self._final.name) or (0, 0)
                    self._final = taken.with_name(checkpoint_name(step, again + 1))
                log.warning("%s: cannot be replaced (%s); saved beside it as %s", taken, error, self._final.name)
        return superseded

    def _raise_first(self, problems: list[_Failure]) -> None:
        for rank, failed in enumerate(problems):  # a failed begin or commit is rank 0's
            if failed is None:
                continue
            root = self._final.parent
            free = _free_gb(root)
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


def _clear(root: Path, verify: Verify) -> None:
    """Undo what killed saves left behind; only one save is active, because the fence has been asked."""
    for path in sorted(root.iterdir()) if root.is_dir() else []:
        original = original_name(path.name)
        if is_staging(path.name):
            remove(path)
        elif original is not None and os.path.lexists(root / original):
            _discard(path, verify)
        elif original is not None:
            with contextlib.suppress(OSError):  # it is found by its present name too
                path.rename(root / original)


def _discard(superseded: Path, verify: Verify) -> None:
    """Delete the old folder of a step that was saved again, unless it is one that did not verify."""
    if not os.path.lexists(superseded):
        return
    try:
        verify(superseded)
    except CorruptError as error:
        set_aside(superseded, str(error))
    else:
        log.info("%s: deleted, since the same step has been saved again", superseded)
        # Under a name that says so: what a kill leaves of it would else count as damaged, and be set aside for ever.
        hidden = superseded.with_name(staging_name(original_name(superseded.name) or "", secrets.token_hex(4)))
        with contextlib.suppress(OSError):
            superseded = superseded.rename(hidden)
        remove(superseded)


def _free_gb(root: Path) -> float:
    try:
        return shutil.disk_usage(root).free / 1e9
    except OSError:
        return 0.0


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
