"""What the system refuses, in words: which file, how much room is left, what to do.

A disk that is full, a quota, a limit of file sizes or a folder that may not be written can stop any command and any
job, at any line. There is one place that tells it: where commands and jobs begin.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from hpc.errors import CorruptError, EnvironmentProblem, SnwError
from hpc.thread_limit import thread_limit_text

_NOT_WRITTEN = {
    errno.ENOSPC: "Make room",
    errno.EDQUOT: "Make room, or have the quota raised",
    errno.EFBIG: "Raise the limit of file sizes (`ulimit -f unlimited`)",
    errno.EIO: "The device fails: ask its administrator",
}
_LIMITS = {
    errno.EMFILE: "Raise the limit of open files (`ulimit -n 65536`)",
    errno.ENFILE: "The machine has too many open files: ask its administrator",
    errno.ENOMEM: "Ask for more memory",
}


def storage_problem(error: OSError, folder: Path) -> SnwError | None:
    """The error for the user, or None where the system's word is about no file and so most likely our own mistake.

    `folder` is what is written to, where the error does not say. What could not be written is `CorruptError` (exit 3),
    what may not be read or written `EnvironmentProblem` (exit 4).
    """
    reason = os.strerror(error.errno) if error.errno else str(error)
    where = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes | os.PathLike) else None
    if error.errno in _NOT_WRITTEN:
        return CorruptError(
            f"{where or folder}: could not be written: {reason}; {_free_gb(where or folder)} there. "
            f"{_NOT_WRITTEN[error.errno]} and start the same command again: what was whole before is whole still."
        )
    if error.errno == errno.EAGAIN:
        return EnvironmentProblem(f"{where or folder}: {reason}: {thread_limit_text()}")
    if error.errno in _LIMITS:
        return EnvironmentProblem(f"{where or folder}: {reason}. {_LIMITS[error.errno]}.")
    if where is None:
        return None
    return EnvironmentProblem(
        f"{where}: {reason}. Look at owner, permissions and file system of the folder, or choose another folder."
    )


def check_room(needed: Mapping[Path, int]) -> None:
    """Raise `EnvironmentProblem` where a disk has less room than is to be written; needed: folder -> bytes there."""
    disks: dict[int, tuple[Path, int]] = {}
    for folder, count in needed.items():
        device = _existing(folder).stat().st_dev
        first, before = disks.get(device, (folder, 0))
        disks[device] = first, before + count
    for folder, count in disks.values():
        free = free_bytes(folder)
        if count > free:
            raise EnvironmentProblem(
                f"{folder}: about {count:,} bytes are to be written, and {free:,} are free there. Make room, or choose "
                "another folder."
            )


def free_bytes(path: Path) -> int:
    """How much room is left where `path` is, or would be."""
    return shutil.disk_usage(_existing(path)).free


def stored_below(folder: Path) -> tuple[int, float]:
    """Bytes of the files below, links not followed, and when one was last written, in seconds since 1970; or 0."""
    total, newest = 0, 0.0
    for root, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # a job that writes here at this moment may have moved it
                status = (Path(root) / name).lstat()
                if stat.S_ISREG(status.st_mode):
                    total += status.st_size
                    newest = max(newest, status.st_mtime)
    return total, newest


def _existing(path: Path) -> Path:
    """The path, or the closest folder above it that is there."""
    return next(place for place in (path, *path.absolute().parents) if place.exists())


@contextlib.contextmanager
def told_where(folder: Path) -> Iterator[None]:
    """Raise `storage_problem` where the block, which writes to `folder`, meets one."""
    try:
        yield
    except OSError as error:
        raise storage_problem(error, folder) or error from error


def _free_gb(path: Path) -> str:
    """How much is free where `path` is, or would be."""
    for place in (path, *path.absolute().parents):
        try:
            return f"{shutil.disk_usage(place).free / 1e9:.1f} GB are free"
        except OSError:
            continue
    return "it is not known how much is free"
