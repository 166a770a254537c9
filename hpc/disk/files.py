"""Durable, atomic publication of files and folders: temporary name, fsync, rename, fsync of the parent.

A reader therefore sees the old content or the new one, never a part, also after a power cut.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hpc.errors import EnvironmentProblem

PARTIAL_SUFFIX = ".partial"
_PIECE = 16_000_000
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EXDEV)
_MOST_BUFFERS = min(1024, os.sysconf("SC_IOV_MAX"))  # in one call


def fsync_folder(folder: Path) -> None:
    """Make the names in `folder` durable; without it a rename can be lost although the data is safe."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_tree(folder: Path) -> None:
    """Make every file and every name below `folder` durable, so that the folder may be renamed into place."""
    for root, _, names in os.walk(folder):
        for name in names:
            descriptor = os.open(Path(root) / name, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        fsync_folder(Path(root))


def atomic_write_groups(path: Path, groups: Iterable[Sequence[bytes | memoryview]]) -> None:
    """Publish the buffers of all groups, one after another, under `path`; a group is written while the next is made.

    The buffers are handed to the system without being copied.
    """
    with _published(path) as descriptor, ThreadPoolExecutor(1, "file-writer") as thread:
        written: Future[None] | None = None
        for group in groups:
            if written is not None:
                written.result()
            written = thread.submit(_write_all, descriptor, group)
        if written is not None:
            written.result()


@contextlib.contextmanager
def _published(path: Path, mode: int = 0o666) -> Iterator[int]:
    """The descriptor of a new file that takes the place of `path` once it is written and durable.

    Its temporary name is unique, so that two writers never share one, and ends in `.partial`, so that what a killed
    writer leaves behind can be swept.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(6)}{PARTIAL_SUFFIX}")
    try:
        with open(partial, "xb", buffering=0, opener=lambda name, flags: os.open(name, flags, mode)) as file:
            yield file.fileno()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None:  # a write by its descriptor does not name its file
            error.filename = str(path)
        raise
    fsync_folder(path.parent)


def publish_file(written: Path, path: Path) -> None:
    """Give a file that is written the name `path`, on the same file system, once it is durable."""
    with written.open("rb") as file:
        os.fsync(file.fileno())
    written.replace(path)
    fsync_folder(path.parent)


def _write_all(descriptor: int, buffers: Sequence[bytes | memoryview]) -> None:
    views = [memoryview(buffer).cast("B") for buffer in buffers if len(buffer)]
    first = 0
    while first < len(views):
        written = os.writev(descriptor, views[first : first + _MOST_BUFFERS])
        while first < len(views) and written >= len(views[first]):
            written -= len(views[first])
            first += 1
        if written:  # the system took a part only: the rest of this buffer goes first in the next call
            views[first] = views[first][written:]


def _write_pieces(descriptor: int, buffers: Iterable[bytes | memoryview]) -> None:
    """Write piece after piece, each durable before the next; the last one is left to the caller.

    On a slow disk writing is then seen to move (`hpc.ranks.background`), instead of minutes in one flush at the end.
    """
    views = (memoryview(buffer).cast("B") for buffer in buffers if len(buffer))
    pieces = (view[start : start + _PIECE] for view in views for start in range(0, len(view), _PIECE))
    for number, piece in enumerate(pieces):
        if number:
            os.fdatasync(descriptor)
        _write_all(descriptor, [piece])


def write_new(path: Path, buffers: Iterable[bytes | memoryview]) -> None:
    """Write a new file, all but its last piece durable; for a folder that is made durable and renamed as a whole."""
    with path.open("xb", buffering=0) as file:
        _write_pieces(file.fileno(), buffers)


def atomic_write_bytes(path: Path, data: bytes | memoryview) -> None:
    """Publish `data` under `path`."""
    with _published(path) as descriptor:
        _write_pieces(descriptor, [data])


def publish_once(path: Path, data: bytes) -> bool:
    """Publish `data` under `path` where nothing is yet; whether this call did.

    Exactly one of many callers on any hosts does: `link` is one step of the file system, also of a network one. False
    also when somebody has swept the temporary file meanwhile. Raises `EnvironmentProblem` where there are no links.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(6)}{PARTIAL_SUFFIX}")
    try:
        with partial.open("xb", buffering=0) as file:
            _write_all(file.fileno(), [data])
            os.fsync(file.fileno())
        try:
            os.link(partial, path)
        except FileExistsError:
            # A network file system may ask twice when an answer was lost, and then finds its own link.
            with contextlib.suppress(FileNotFoundError):  # swept meanwhile
                return partial.stat().st_nlink > 1
            return False
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            raise EnvironmentProblem(
                f"{path.parent}: its file system has no hard links ({error.strerror}), by which one of several jobs "
                "gets a folder. Choose a folder on another file system."
            ) from None
    finally:
        partial.unlink(missing_ok=True)
    fsync_folder(path.parent)
    return True


def atomic_write_private(path: Path, data: bytes) -> None:
    """Publish `data` under `path`, for its owner alone."""
    with _published(path, 0o600) as descriptor:
        _write_all(descriptor, [data])


def atomic_write_json(path: Path, value: Any) -> None:
    """Publish `value` as strict JSON (no NaN), indented and with sorted keys, so that equal values are equal bytes."""
    text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False)
    atomic_write_bytes(path, (text + "\n").encode())


def sweep_partial(folder: Path) -> list[Path]:
    """Remove what killed writers left in `folder` (not below it); call it only when no writer is active."""
    leftovers = sorted(folder.glob(f".*{PARTIAL_SUFFIX}"))
    for path in leftovers:
        path.unlink(missing_ok=True)
    return leftovers


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
