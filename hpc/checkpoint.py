"""Checkpoints that exist as a whole or not at all, and are verified before anything in them is read.

Every rank writes its files into one hidden staging folder and reports their digests; when all have, rank 0 writes
`manifest.json`, renames the folder and makes the rename durable. A folder without a manifest does not exist. Rank 0
alone decides which checkpoint is loaded, because the ranks may see a shared file system differently.
What is inside the files is not known here.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpc.communicator import Communicator
from hpc.errors import CorruptError, SnwError
from hpc.files import atomic_write_json, fsync_folder

MANIFEST = "manifest.json"
FORMAT_VERSION = 1
log = logging.getLogger(__name__)
_Failure = OSError | SnwError | None


@dataclass(frozen=True)
class Checkpoint:
    """A committed checkpoint whose files verified."""

    path: Path
    step: int
    meta: Mapping[str, Any]


def checkpoint_name(step: int) -> str:
    """Folder name of a step; names sort like the steps."""
    return f"step_{step:010d}"


def file_digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save_checkpoint(
    root: Path,
    step: int,
    meta: Mapping[str, Any],
    write: Callable[[Path], Iterable[str]],
    comm: Communicator,
    fence: Callable[[], None] = lambda: None,
) -> Path:
    """Collective: commit one checkpoint.

    `write(folder)` writes this rank's files and returns their names relative to it; they are fsynced and hashed by
    the rank that wrote them. `fence()` is called by rank 0 just before the commit and raises if this incarnation was
    superseded. If any rank fails, no rank commits, the staging folder is removed and `CorruptError` (exit 3) is raised on all.
    """
    final, staging = root / checkpoint_name(step), root / f".{checkpoint_name(step)}.staging"
    problem: _Failure = comm.broadcast(_attempt(lambda: _fresh_folder(staging)) if comm.rank == 0 else None)
    entries: dict[str, dict[str, Any]] = {}

    def write_durably() -> None:
        entries.update({name: _durable_entry(staging / name) for name in write(staging)})

    problems: list[_Failure] = [problem]
    if problem is None:
        reports = comm.gather((_attempt(write_durably), entries))
        problems = [report[0] for report in reports]
        if comm.rank == 0 and not any(problems):
            files = {name: entry for _, part in reports for name, entry in part.items()}
            manifest: dict[str, Any] = {"format_version": FORMAT_VERSION, "step": step, "world_size": comm.world_size}
            manifest |= {"meta": dict(meta), "files": files}
            problems[0] = _attempt(lambda: _commit(staging, final, manifest, fence))
        problems = comm.broadcast(problems)
    for rank, failed in enumerate(problems):  # a failed commit is rank 0's
        if failed is None:
            continue
        if comm.rank == 0:
            shutil.rmtree(staging, ignore_errors=True)
        if not isinstance(failed, OSError):
            raise failed
        free = shutil.disk_usage(root).free / 1e9 if root.exists() else 0.0
        raise CorruptError(
            f"{final}: the checkpoint could not be written (rank {rank}: {failed}); {free:.1f} GB are free there. "
            "Older checkpoints are untouched; make room and start the same command again."
        )
    return final


def find_checkpoint(root: Path, comm: Communicator) -> Checkpoint | None:
    """Collective: the newest checkpoint that verifies, as rank 0 sees it; None when there is none at all.

    Raises `CorruptError` when there are checkpoints but none verifies: never a silent restart from zero.
    """
    return comm.on_rank_0(lambda: _newest(root))


def verify_checkpoint(path: Path) -> Checkpoint:
    """Check every file of a checkpoint against its manifest.

    Raises `CorruptError` naming the file with the expected and the actual size and digest. Nothing is unpickled.
    """
    try:
        manifest = json.loads((path / MANIFEST).read_text())
        files, step, meta = manifest["files"], int(manifest["step"]), manifest["meta"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptError(f"{path / MANIFEST}: unreadable ({error})") from None
    if manifest.get("format_version") != FORMAT_VERSION or path.name != checkpoint_name(step):
        raise CorruptError(f"{path / MANIFEST}: format version or step does not fit its folder")
    for name, entry in files.items():
        file = path / name
        if not _is_inside(name) or not file.is_file() or file.is_symlink():
            raise CorruptError(f"{file}: missing, though the manifest lists it")
        owner = file.stat().st_uid
        if owner not in (os.getuid(), 0):
            raise CorruptError(f"{file}: belongs to another user (uid {owner})")
        if file.stat().st_size != entry["bytes"]:
            raise CorruptError(f"{file}: {file.stat().st_size} bytes, expected {entry['bytes']}")
        digest = file_digest(file)
        if digest != entry["sha256"]:
            raise CorruptError(f"{file}: SHA-256 {digest}, expected {entry['sha256']}")
    return Checkpoint(path, step, meta)


def committed_checkpoints(root: Path) -> list[Path]:
    """Folders with a manifest, oldest first; they are not verified."""
    return sorted(path.parent for path in root.glob(f"step_*/{MANIFEST}"))


def prune_checkpoints(root: Path, keep_last: int, also_keep: Iterable[int] = ()) -> list[Path]:
    """Remove all but the newest `keep_last` checkpoints and the steps in `also_keep`; call it on rank 0 only.

    The manifest goes first: a kill in between leaves a folder that does not exist, not one that does not verify.
    """
    pinned = {checkpoint_name(step) for step in also_keep}
    removed = [path for path in committed_checkpoints(root)[:-keep_last] if path.name not in pinned]
    for path in removed:
        (path / MANIFEST).unlink()
        fsync_folder(path)
        shutil.rmtree(path)
    return removed


def _is_inside(name: str) -> bool:
    return not Path(name).is_absolute() and ".." not in Path(name).parts


def _newest(root: Path) -> Checkpoint | None:
    problems = []
    committed = committed_checkpoints(root)
    for path in reversed(committed):
        try:
            return verify_checkpoint(path)
        except CorruptError as error:
            log.warning("checkpoint skipped: %s", error)
            problems.append(str(error))
    if problems:
        raise CorruptError(
            f"{root}: none of {len(committed)} checkpoints verifies: {'; '.join(problems)}. Restore one from a backup, "
            "or move the folder away to start from step 0."
        )
    return None


def _fresh_folder(staging: Path) -> None:
    if staging.exists():  # left by a killed save of the same step
        shutil.rmtree(staging)
    staging.mkdir(parents=True)


def _durable_entry(path: Path) -> dict[str, Any]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return {"bytes": path.stat().st_size, "sha256": file_digest(path)}


def _commit(staging: Path, final: Path, manifest: dict[str, Any], fence: Callable[[], None]) -> None:
    atomic_write_json(staging / MANIFEST, manifest)
    for folder in {staging / name for name in manifest["files"]}:
        fsync_folder(folder.parent)
    fence()
    superseded = staging.with_suffix(".superseded")
    if final.exists():  # the same step again, or a folder whose pruning was cut short
        shutil.rmtree(superseded, ignore_errors=True)
        final.rename(superseded)
    staging.rename(final)
    fsync_folder(final.parent)
    shutil.rmtree(superseded, ignore_errors=True)


def _attempt(action: Callable[[], None]) -> _Failure:
    try:
        action()
    except (OSError, SnwError) as error:
        return error
    return None
