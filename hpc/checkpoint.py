"""Checkpoints that exist as a whole or not at all, and are verified before anything in them is read.

Every rank writes its files into one hidden staging folder and reports their digests; when all have, rank 0 writes
`manifest.json`, renames the folder and makes the rename durable; names that begin with a dot are not checkpoints.
Rank 0 alone decides which checkpoint is loaded, because the ranks may see a shared file system differently.
What is inside the files is not known here.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
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
_SUPERSEDED = ".superseded"
log = logging.getLogger(__name__)
_Failure = SnwError | str | None


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

    `write(folder)` writes this rank's files and returns their names relative to it, none of which another rank uses;
    they are fsynced and hashed by the rank that wrote them. `fence()` is called by rank 0 before anything is touched
    and again just before the commit; it raises if this incarnation was superseded.
    If any rank fails, no rank commits, the staging folder is removed and `CorruptError` (exit 3) is raised on all,
    or the `SnwError` that the rank met.
    """
    final = root / checkpoint_name(step)
    # The name is this save's own: a stale incarnation must not write into, or remove, the folder of its successor.
    staging = root / comm.broadcast(f".{checkpoint_name(step)}.{secrets.token_hex(4)}.staging")

    def begin() -> None:
        fence()
        _clear(root)
        staging.mkdir(parents=True)

    problem: _Failure = comm.on_rank_0(lambda: _attempt(begin))
    entries: dict[str, dict[str, Any]] = {}

    def write_durably() -> None:
        entries.update({name: _durable_entry(staging / name) for name in write(staging)})

    problems: list[_Failure] = [problem]
    if problem is None:
        reports = comm.gather((_attempt(write_durably), entries))
        problems = [report[0] for report in reports]
        if comm.rank == 0 and not any(problems):
            parts = [report[1] for report in reports]
            header = {"format_version": FORMAT_VERSION, "step": step, "world_size": comm.world_size, "meta": dict(meta)}
            problems[0] = _attempt(lambda: _commit(staging, final, header, parts, fence))
        problems = comm.broadcast(problems)
    for rank, failed in enumerate(problems):  # a failed commit is rank 0's
        if failed is None:
            continue
        free = shutil.disk_usage(root).free / 1e9 if root.exists() else 0.0
        if comm.rank == 0:
            shutil.rmtree(staging, ignore_errors=True)
        if isinstance(failed, SnwError):
            raise failed
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
    file = path / MANIFEST
    try:
        _refuse_foreign(file)
        manifest = json.loads(file.read_text())
        expected, actual = manifest.pop("sha256"), _manifest_digest(manifest)
        if actual != expected:
            raise CorruptError(f"{file}: SHA-256 of the content {actual}, expected {expected}")
        step, meta = int(manifest["step"]), manifest["meta"]
        if manifest["format_version"] != FORMAT_VERSION or checkpoint_name(step) not in (path.name, _superseded(path)):
            raise CorruptError(f"{file}: format version or step does not fit its folder")
        for name, entry in manifest["files"].items():
            file = path / name
            if not _is_inside(name) or not file.is_file() or file.is_symlink():
                raise CorruptError(f"{file}: missing, though the manifest lists it")
            _refuse_foreign(file)
            if file.stat().st_size != entry["bytes"]:
                raise CorruptError(f"{file}: {file.stat().st_size} bytes, expected {entry['bytes']}")
            digest = file_digest(file)
            if digest != entry["sha256"]:
                raise CorruptError(f"{file}: SHA-256 {digest}, expected {entry['sha256']}")
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise CorruptError(f"{file}: unreadable ({type(error).__name__}: {error})") from None
    return Checkpoint(path, step, meta)


def committed_checkpoints(root: Path) -> list[Path]:
    """Folders with a manifest, oldest first; they are not verified."""
    return sorted(path.parent for path in root.glob(f"step_*/{MANIFEST}"))


def prune_checkpoints(root: Path, keep_last: int, also_keep: Iterable[int] = ()) -> list[Path]:
    """Remove all but the newest `keep_last` checkpoints and the steps in `also_keep`; call it on rank 0 only.

    Each is renamed first: a kill in between leaves a hidden folder for the next save to clear, not a checkpoint that
    does not verify.
    """
    pinned = {checkpoint_name(step) for step in also_keep}
    committed = committed_checkpoints(root)
    removed = [path for path in committed[: max(0, len(committed) - keep_last)] if path.name not in pinned]
    for path in removed:
        hidden = path.rename(root / f".{path.name}.{secrets.token_hex(4)}.staging")
        fsync_folder(root)
        shutil.rmtree(hidden)
    return removed


def _is_inside(name: str) -> bool:
    return not Path(name).is_absolute() and ".." not in Path(name).parts


def _newest(root: Path) -> Checkpoint | None:
    problems = []
    # Also a folder that lost its manifest, which no commit and no pruning leaves behind, and the old one of a step that
    # was being saved again: as the only one there is it must not count as none.
    try:
        folders = [path for path in root.iterdir() if path.is_dir()] if root.exists() else []
    except OSError as error:
        raise CorruptError(f"{root}: cannot be read ({error}), and may hold checkpoints") from None
    committed = [path for path in folders if path.name.startswith("step_")]
    committed += [path for path in folders if path.suffix == _SUPERSEDED and not (root / _superseded(path)).exists()]
    for path in sorted(committed, key=_superseded, reverse=True):
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


def _superseded(path: Path) -> str:
    """The name that a folder `.step_N.superseded` had before its step was saved again."""
    return path.name.removeprefix(".").removesuffix(_SUPERSEDED)


def _refuse_foreign(file: Path) -> None:
    owner = file.stat().st_uid
    if owner not in (os.getuid(), 0):
        raise CorruptError(f"{file}: belongs to another user (uid {owner})")


def _manifest_digest(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True, allow_nan=False).encode()).hexdigest()


def _clear(root: Path) -> None:
    """Undo what killed saves left behind; only one save is active, because the fence has been asked."""
    for path in root.glob(f".step_*{_SUPERSEDED}"):
        final = root / _superseded(path)
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


def _commit(
    staging: Path,
    final: Path,
    header: dict[str, Any],
    parts: list[dict[str, dict[str, Any]]],
    fence: Callable[[], None],
) -> None:
    files = {name: entry for part in parts for name, entry in part.items()}
    if len(files) != sum(len(part) for part in parts) or not all(_is_inside(name) for name in files):
        raise ValueError(f"two ranks wrote the same file, or one outside its folder: {sorted(files)}")
    # Through JSON once, because keys that are numbers sort otherwise than the text that is read back.
    manifest = json.loads(json.dumps(header | {"files": files}))
    atomic_write_json(staging / MANIFEST, manifest | {"sha256": _manifest_digest(manifest)})
    for folder in {staging / parent for name in files for parent in Path(name).parents}:
        fsync_folder(folder)
    fence()
    superseded = final.with_name(f".{final.name}{_SUPERSEDED}")
    if final.exists():  # the same step again, or one that did not verify
        final.rename(superseded)
    staging.rename(final)
    fsync_folder(final.parent)
    shutil.rmtree(superseded, ignore_errors=True)


def _attempt(action: Callable[[], None]) -> _Failure:
    """What went wrong. Any exception counts: torch, for one, reports a full disk as `RuntimeError`."""
    try:
        action()
    except SnwError as error:
        return error
    except Exception as error:
        log.exception("the checkpoint could not be written")
        return f"{type(error).__name__}: {error}"
    return None
