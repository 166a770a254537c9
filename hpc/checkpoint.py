"""Checkpoints that exist as a whole or not at all, and are verified before anything in them is read.

A checkpoint is a folder whose `manifest.json` names every file with its size and SHA-256 (`hpc.saving` writes it);
names that begin with a dot are not checkpoints. Rank 0 alone decides which one is loaded, because the ranks may see a
shared file system differently. What is inside the files is not known here.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import secrets
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpc.communicator import Communicator
from hpc.errors import CorruptError
from hpc.files import fsync_folder

MANIFEST = "manifest.json"
FORMAT_VERSION = 1
SUPERSEDED = ".superseded"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """A committed checkpoint whose files verified."""

    path: Path
    step: int
    meta: Mapping[str, Any]


def checkpoint_name(step: int) -> str:
    """Folder name of a step; names sort like the steps."""
    return f"step_{step:010d}"


def step_of(path: Path) -> int:
    """The step of a folder that `checkpoint_name` has named."""
    return int(path.name.removeprefix("step_"))


def file_digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find_checkpoint(root: Path, comm: Communicator) -> Checkpoint | None:
    """Collective: the newest checkpoint that verifies, as rank 0 sees it; None when there is none at all.

    Raises `CorruptError` when there are checkpoints but none verifies: never a silent restart from zero.
    """
    plain: dict[str, Any] | None = comm.on_rank_0(lambda: _as_plain(_newest(root)))
    return None if plain is None else Checkpoint(**{**plain, "path": Path(plain["path"])})


def _as_plain(found: Checkpoint | None) -> dict[str, Any] | None:
    return None if found is None else {**dataclasses.asdict(found), "path": str(found.path)}


def verify_checkpoint(path: Path) -> Checkpoint:
    """Check every file of a checkpoint against its manifest.

    Raises `CorruptError` naming the file with the expected and the actual size and digest. Nothing is unpickled.
    """
    file = path / MANIFEST
    try:
        _refuse_foreign(file)
        manifest = json.loads(file.read_text())
        expected, actual = manifest.pop("sha256"), manifest_digest(manifest)
        if actual != expected:
            raise CorruptError(f"{file}: SHA-256 of the content {actual}, expected {expected}")
        step, meta = int(manifest["step"]), manifest["meta"]
        if manifest["format_version"] != FORMAT_VERSION or checkpoint_name(step) not in (
            path.name,
            superseded_name(path),
        ):
            raise CorruptError(f"{file}: format version or step does not fit its folder")
        for name, entry in manifest["files"].items():
            file = path / name
            if not is_inside(name) or not file.is_file() or file.is_symlink():
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


def is_inside(name: str) -> bool:
    """Whether the name of a file stays within its folder."""
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
    committed += [path for path in folders if path.suffix == SUPERSEDED and not (root / superseded_name(path)).exists()]
    for path in sorted(committed, key=superseded_name, reverse=True):
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


def superseded_name(path: Path) -> str:
    """The name that a folder `.step_N.superseded` had before its step was saved again."""
    return path.name.removeprefix(".").removesuffix(SUPERSEDED)


def _refuse_foreign(file: Path) -> None:
    owner = file.stat().st_uid
    if owner not in (os.getuid(), 0):
        raise CorruptError(f"{file}: belongs to another user (uid {owner})")


def manifest_digest(manifest: Mapping[str, Any]) -> str:
    """SHA-256 of a manifest without its own digest."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True, allow_nan=False).encode()).hexdigest()
