"""Checkpoints that exist as a whole or not at all, and are verified before anything in them is read.

A checkpoint is a folder whose `manifest.json` names every file with its size and SHA-256 (`hpc.save.manifest` checks
it, `hpc.save.saving` writes it, `hpc.save.retention` decides how long it stays); `hpc.save.checkpoint_names` decides
what is one. Rank 0 alone decides which one is loaded, because the ranks may see a shared file system differently. What
is inside the files is not known here.
"""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

from hpc.errors import CorruptError
from hpc.ranks.communicator import Communicator
from hpc.save.checkpoint_names import checkpoint_name, looks_like_one, original_name, place_of
from hpc.save.manifest import MANIFEST, Checkpoint, manifest_digest, shortened, verify_checkpoint
from hpc.save.retention import Verify, committed_checkpoints, prune_checkpoints

__all__ = [
    "MANIFEST",
    "Checkpoint",
    "checkpoint_name",
    "committed_checkpoints",
    "find_checkpoint",
    "manifest_digest",
    "prune_checkpoints",
    "step_of",
    "verify_checkpoint",
]
log = logging.getLogger(__name__)


def step_of(path: Path) -> int:
    """The step of a folder that `checkpoint_name` has named; raises `ValueError` for any other."""
    place = place_of(path.name)
    if place is None:
        raise ValueError(f"{path}: not the name of a checkpoint")
    return place.step


def find_checkpoint(root: Path, comm: Communicator, verify: Verify = verify_checkpoint) -> Checkpoint | None:
    """Collective: the newest checkpoint that verifies, as rank 0 sees it; None when there is none at all.

    `verify` raises `CorruptError` for a damaged one, which is passed over. Nothing is changed in the folder. Raises
    `CorruptError` when there are checkpoints but none verifies: never a silent restart from zero.
    """
    plain: dict[str, Any] | None = comm.on_rank_0(lambda: _as_plain(_newest(root, verify)))
    return None if plain is None else Checkpoint(**{**plain, "path": Path(plain["path"])})


def _as_plain(found: Checkpoint | None) -> dict[str, Any] | None:
    return None if found is None else {**dataclasses.asdict(found), "path": str(found.path)}


def _newest(root: Path, verify: Verify) -> Checkpoint | None:
    names = _names(root)
    # Whatever has the name, also a folder that lost its manifest, which no commit and no pruning leaves behind, and a
    # link that leads nowhere; and the old one of a step that was being saved again: as the only one there is it must
    # not count as none.
    wanted = {name: place for name in names if (place := place_of(name))}
    for name in names:
        original = original_name(name)
        if original is not None and original not in names and (place := place_of(original)):
            wanted[name] = place
    problems = []
    for name in sorted(wanted, key=lambda name: wanted[name], reverse=True):
        try:
            return verify(root / name)
        except CorruptError as error:
            log.warning("checkpoint skipped: %s", error)
            problems.append(str(error))
    if problems:
        raise CorruptError(
            f"{root}: none of {len(problems)} checkpoints verifies: {'; '.join(problems)}. Restore one from a backup, "
            "or begin anew in another folder: --run NAME"
        )
    _refuse_renamed(root, names)
    return None


def _names(root: Path) -> list[str]:
    try:
        names = sorted(path.name for path in root.iterdir())
    except FileNotFoundError:
        if not root.is_symlink():
            return []
        raise CorruptError(f"{root}: leads to a folder that is not there, and that may hold checkpoints") from None
    except OSError as error:
        raise CorruptError(f"{root}: cannot be read ({error}), and may hold checkpoints") from None
    strays = [shortened(name) for name in names if looks_like_one(name)]
    if strays:
        more = f" and {len(strays) - 3} more" if len(strays) > 3 else ""
        log.warning("%s: no checkpoint by its name, left alone: %s%s", root, ", ".join(strays[:3]), more)
    return names


def _refuse_renamed(root: Path, names: list[str]) -> None:
    """Where nothing else is there, a checkpoint by another name must not count as none either."""
    renamed = [shortened(name) for name in names if looks_like_one(name) and _has_manifest(root / name)]
    if renamed:
        raise CorruptError(
            f"{root}: no checkpoint, but {', '.join(renamed[:3])}, with the manifest of one. Give it its name back, "
            f"such as {checkpoint_name(20)}, or begin anew in another folder: --run NAME"
        )


def _has_manifest(path: Path) -> bool:
    try:
        return (path / MANIFEST).is_file()
    except OSError:
        return False
