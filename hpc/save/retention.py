"""Which checkpoints stay, and how those that go are removed; all of it on rank 0, which holds the claim on the folder.

Only checkpoints that verified count: else a damaged one, newer than all that a resumed run saves, would have each of
these saves removed in its favour. What does not count is set aside under another name and never deleted. That something
cannot be deleted or renamed (read-only, a mount, somebody else's) is a warning: no save fails by it.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from hpc.disk.files import fsync_folder
from hpc.errors import CorruptError
from hpc.save.checkpoint_names import Place, original_name, place_of, set_aside_name, staging_name
from hpc.save.manifest import MANIFEST, Checkpoint, verify_checkpoint

Verify = Callable[[Path], Checkpoint]
_BEFORE_ALL = Place(-1)
_WAIT_S = 1.0
log = logging.getLogger(__name__)


def committed_checkpoints(root: Path) -> list[Path]:
    """Folders with the name of a checkpoint and a manifest, oldest first; they are not verified."""
    return [path for path, _ in _named(root) if (path / MANIFEST).exists()]


class Retention:
    """Keeps the newest `keep_last` checkpoints that verified, of one run from where it was taken up.

    Those that this process saved or took up are known to be whole. Older ones are verified in a thread, once: to read
    large ones must not hold training, nor a stop. Until it is through, nothing is removed.
    """

    def __init__(self, root: Path, keep_last: int, verify: Verify = verify_checkpoint) -> None:
        self._root, self._keep_last, self._verify = root, keep_last, verify
        self._whole: dict[str, bool] = {}
        self._begun: Place | None = None
        self._reader: threading.Thread | None = None

    def begin_from(self, found: Checkpoint | None) -> None:
        """What the run was taken up from; None where it began anew. Later ones, other than its own, do not count."""
        self._begun = _BEFORE_ALL if found is None else place_of(found.path.name) or Place(found.step)
        if found is not None:
            self._whole[found.path.name] = True

    def after(self, committed: Path, also_keep: Callable[[int], bool]) -> list[Path]:
        """Set aside what the run left behind, and remove what need not stay; `also_keep` is asked for a step."""
        self._whole[committed.name] = True
        newest = place_of(committed.name) or _BEFORE_ALL
        for path, place in _named(self._root):
            later = self._begun is not None and place > self._begun and path.name not in self._whole
            if place > newest or later:
                set_aside(path, "it was passed over, and the run has gone on from an earlier one")
        if self._reader is None:
            self._reader = threading.Thread(target=self._read_older, name="checkpoint-reader", daemon=True)
            self._reader.start()
        self._reader.join(_WAIT_S)
        if self._reader.is_alive():
            return []
        kept = [place.step for _, place in _named(self._root) if also_keep(place.step)]
        return prune_checkpoints(self._root, self._keep_last, kept, self._counts)

    def _read_older(self) -> None:
        """As many as may count; what is beyond these goes anyway."""
        whole = 0
        with contextlib.suppress(OSError):  # what cannot be listed now is asked for again, and told, by `after`
            for path, _ in reversed(_named(self._root)):
                if whole >= self._keep_last:
                    return
                whole += self._counts(path)

    def _counts(self, path: Path) -> bool:
        if path.name not in self._whole:
            self._whole[path.name] = _verifies(path, self._verify)
        return self._whole[path.name]


def _verifies(path: Path, verify: Verify = verify_checkpoint) -> bool:
    try:
        verify(path)
    except CorruptError as error:
        log.warning("checkpoint does not count: %s", error)
        return False
    return True


def prune_checkpoints(
    root: Path, keep_last: int, also_keep: Iterable[int] = (), counts: Callable[[Path], bool] = _verifies
) -> list[Path]:
    """Remove all but the newest `keep_last` that count and the steps in `also_keep`; those removed, oldest first.

    Among the newest, one that does not count is set aside.
    """
    pinned, num_kept, removed = set(also_keep), 0, []
    for path, place in reversed(_named(root)):
        if num_kept >= keep_last:
            if place.step not in pinned and _remove_checkpoint(path):
                removed.append(path)
        elif counts(path):
            num_kept += 1
        else:
            set_aside(path, "it does not verify")
    return removed[::-1]


def set_aside(path: Path, why: str) -> Path | None:
    """Rename what must not count as a checkpoint; its new path, or None, with a warning, where that cannot be done."""
    name, number = original_name(path.name) or path.name, 1
    while os.path.lexists(target := path.with_name(set_aside_name(name, number))):
        number += 1
    try:
        path.rename(target)
        fsync_folder(path.parent)
    except OSError as error:
        _warn_once(f"{path}: does not count ({why}), and cannot be renamed ({error})")
        return None
    log.warning("%s: set aside as %s: %s. Delete it when it is not needed", path, target.name, why)
    return target


def remove(path: Path) -> bool:
    """Delete a folder of ours and what is in it, or a link alone; whether it is gone. A warning says why it is not."""
    try:
        if path.is_symlink() or not path.is_dir():
            path.unlink()
        else:
            shutil.rmtree(path)
    except OSError as error:
        shutil.rmtree(path, ignore_errors=True)  # as much as can be
        if os.path.lexists(path):
            _warn_once(f"{path}: no longer needed, but cannot be deleted ({error}); delete it by hand")
            return False
    return True


def _remove_checkpoint(path: Path) -> bool:
    """Rename first: a kill in between leaves a hidden folder for the next save to clear, not a damaged checkpoint."""
    hidden = path.with_name(staging_name(path.name, secrets.token_hex(4)))
    try:
        if path.is_dir() and not path.is_symlink() and not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError("it may not be written to")
        path.rename(hidden)
        fsync_folder(path.parent)
    except OSError as error:
        _warn_once(f"{path}: no longer needed, but cannot be deleted ({error}); delete it by hand")
        return False
    return remove(hidden)


def _named(root: Path) -> list[tuple[Path, Place]]:
    """All that has the name of a checkpoint, oldest first."""
    try:
        found = [(path, place) for path in root.iterdir() if (place := place_of(path.name))]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(found, key=lambda item: item[1])


@functools.cache
def _warn_once(text: str) -> None:
    """What cannot be deleted now cannot be deleted after the next save either."""
    log.warning("%s", text)
