"""Sorted scores of backgrounds, kept for the next run in the user's cache folder, never in the bundle.

A file has the SHA-256 of its key and its numbers in front. What is damaged, or cannot be read, is not there; where
nothing can be written, nothing is kept. It is a cache: all of it may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

import numpy as np

from hpc.disk.files import atomic_write_bytes
from hpc.disk.reading import BadFileError, read_small
from hpc.told import tell
from snw_dist.arrays import FloatArray

MOST_BYTES = 2**30
"""Of the whole folder: about 13,000 backgrounds of 10,000 scores."""
_MOST_OF_A_FILE = 2**24
_HEAD = 32


def cache_folder() -> Path | None:
    """`$XDG_CACHE_HOME/snw-dist/backgrounds`, or below `~/.cache`; None where there is no home folder."""
    given = Path(os.environ.get("XDG_CACHE_HOME") or "")  # the specification: a relative path is none
    try:
        home = given if given.is_absolute() else Path.home() / ".cache"
    except RuntimeError:
        return None
    return home / "snw-dist" / "backgrounds"


class ScoreCache:
    """Sorted scores by a key: a text that names all they depend on."""

    def __init__(self, folder: Path | None, most_bytes: int = MOST_BYTES) -> None:
        """What was used longest ago is removed where the folder has more than `most_bytes`; `folder` None keeps none.

        Only here, so that nothing that a run needs goes while it is at work.
        """
        self._folder = folder
        with contextlib.suppress(OSError):
            _sweep(folder, most_bytes)

    def get(self, key: str) -> FloatArray | None:
        """[scores] ascending float64; None where they are not there, or damaged."""
        path = self._path(key)
        if path is None:
            return None
        try:
            data = read_small(path, _MOST_OF_A_FILE)
            os.utime(path)
        except (OSError, BadFileError):
            return None
        if len(data) % 8 or data[:_HEAD] != _digest(key, data[_HEAD:]):
            tell(f"{path}: damaged, these background scores are made again.")
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        return np.frombuffer(data, dtype="<f8", offset=_HEAD).astype(np.float64)

    def put(self, key: str, scores: FloatArray) -> None:
        """Keep scores; says so once where that cannot be done. scores: [scores] float64, ascending."""
        path, data = self._path(key), scores.astype("<f8").tobytes()
        if path is None:
            return
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            atomic_write_bytes(path, _digest(key, data) + data)
        except OSError as error:
            tell(f"{path.parent}: background scores cannot be kept for the next run ({error}).")
            self._folder = None

    def _path(self, key: str) -> Path | None:
        return None if self._folder is None else self._folder / hashlib.sha256(key.encode()).hexdigest()


def _digest(key: str, data: bytes) -> bytes:
    return hashlib.sha256(key.encode() + b"\0" + data).digest()


def _sweep(folder: Path | None, most_bytes: int) -> None:
    if folder is None:
        return
    with os.scandir(folder) as entries:
        files = [(entry.stat(), entry.path) for entry in entries if entry.is_file(follow_symlinks=False)]
    total = sum(status.st_size for status, _ in files)
    for status, path in sorted(files, key=lambda file: file[0].st_mtime):
        if total <= most_bytes:
            return
        Path(path).unlink(missing_ok=True)
        total -= status.st_size
