"""Publishing a whole folder at once: a reader sees the old one or the new one, also after a kill at any moment."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import fnmatch
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from hpc.disk.files import fsync_folder, fsync_tree
from hpc.disk.storage import told_where
from hpc.errors import EnvironmentProblem

_ATTEMPTS = 100
_TURN_S = 0.01
_FRESH, _OLD = ".new", ".old"
_EXCHANGE, _HERE = 2, -100
"""RENAME_EXCHANGE and AT_FDCWD of Linux."""


@contextmanager
def new_folder(target: Path, ours: Sequence[str] = ("*",)) -> Iterator[Path]:
    """Yield an empty folder beside `target` that takes its place when the block ends well.

    When the block fails nothing is left. An older `target` is exchanged for the new one in one step. Where the file
    system cannot do that it is moved aside first: a kill in between leaves it there, and `recover` brings it back.
    What the older one has under names that are not among the patterns `ours` goes on into the new one: it belongs to
    somebody else. What the system refuses is told as `hpc.disk.storage` tells it. Raises `EnvironmentProblem` where
    `target` is no folder.
    """
    target = Path(os.path.realpath(target))  # a link to another disk stays one
    if _is_no_folder(target):
        raise EnvironmentProblem(f"{target}: not a folder, and a folder is to be written there. Move it away.")
    with told_where(target), _claimed(target) as fresh:
        try:
            recover(target)
            yield fresh
            _keep(target, fresh, ours)
            fsync_tree(fresh)
            _replace(fresh, target)
            recover(target)  # what a killed writer has left before there was a target
        finally:
            shutil.rmtree(fresh, ignore_errors=True)


def _is_no_folder(target: Path) -> bool:
    """Asked once: between two questions another writer may have moved a folder that stood there."""
    try:
        return not stat.S_ISDIR(target.stat().st_mode)
    except OSError:  # none there, or a way to it that `told_where` tells
        return False


def recover(target: Path) -> None:
    """Bring back a `target` that a killed writer had moved aside, and remove what it has left beside it.

    Whoever reads a folder that may be missing asks first. What a living writer has is left alone.
    """
    target = Path(os.path.realpath(target))
    leftovers = _left_beside(target)
    aside = [path for path in leftovers if path.suffix == _OLD]
    if aside and not target.exists():
        with suppress(OSError):  # another process has brought it back, or published
            max(aside, key=lambda path: path.stat().st_mtime_ns).rename(target)
    if target.exists():  # seen after the leftovers: so none of them is the only one there is
        for path in leftovers:
            with suppress(OSError), locked(path):
                shutil.rmtree(path, ignore_errors=True)


def _beside(target: Path, suffix: str) -> Path:
    return target.with_name(f".{target.name}.{secrets.token_hex(6)}{suffix}")


def _left_beside(target: Path) -> list[Path]:
    try:
        beside = list(target.parent.iterdir())
    except OSError:
        return []
    return [p for p in beside if p.name.startswith(f".{target.name}.") and p.suffix in (_FRESH, _OLD)]


def _keep(target: Path, fresh: Path, ours: Sequence[str]) -> None:
    """Copy into `fresh` what `target` has of others; a writer that moves it at that moment only costs a turn."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _copy_foreign(target, fresh, ours)
            return
        except FileNotFoundError:
            if attempt == _ATTEMPTS:
                raise
            time.sleep(_TURN_S)


def _copy_foreign(target: Path, fresh: Path, ours: Sequence[str]) -> None:
    """Copy what is not `ours`; raises `FileNotFoundError` where `target` is moved aside, or goes while it is read."""
    if not target.exists() and not any(path.suffix == _OLD for path in _left_beside(target)):
        return
    for path in target.iterdir():
        if any(fnmatch.fnmatchcase(path.name, pattern) for pattern in ours):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.copytree(path, fresh / path.name, symlinks=True, dirs_exist_ok=True)
        elif path.is_file() or path.is_symlink():
            (fresh / path.name).unlink(missing_ok=True)
            shutil.copy2(path, fresh / path.name, follow_symlinks=False)


def _replace(fresh: Path, target: Path) -> None:
    """Put `fresh` at `target`; another process that publishes between two renames only costs a turn."""
    for attempt in range(1, _ATTEMPTS + 1):
        if _exchange(fresh, target):
            break
        old = _beside(target, _OLD)
        moved = False
        with suppress(FileNotFoundError):
            target.rename(old)
            moved = True
        refused = None
        try:
            fresh.rename(target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                if moved:
                    with suppress(OSError):
                        old.rename(target)
                raise
            refused = error
        # Ours or another's stands there now, or has just been moved aside by a third: this one is of the past.
        shutil.rmtree(old, ignore_errors=True)
        if refused is None:
            break
        if attempt == _ATTEMPTS:
            raise refused
    fsync_folder(target.parent)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False where one is missing or the system cannot do it."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        return False
    return bool(rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), ctypes.c_uint(_EXCHANGE)) == 0)


@contextmanager
def _claimed(target: Path) -> Iterator[Path]:
    """A new folder beside `target`, locked until the block ends, so that nobody takes it for a leftover."""
    while True:
        fresh = _beside(target, _FRESH)
        try:
            fresh.mkdir(parents=True)
        except OSError as error:  # of the name that was asked for: nobody knows the hidden one
            raise OSError(error.errno, error.strerror, str(target)) from None
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(locked(fresh))
            except (BlockingIOError, FileNotFoundError):  # swept by another process before it was locked
                continue
            except OSError:  # no locks here: then nothing is swept either
                pass
            yield fresh
            return


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a lock on a folder that ends with this process.

    Raises `BlockingIOError` when another holds it, `FileNotFoundError` when the folder has gone, and `OSError` where
    the file system has no locks.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(folder.stat(), os.fstat(descriptor)):
            raise FileNotFoundError(errno.ENOENT, "replaced", str(folder))
        yield
    finally:
        os.close(descriptor)
