"""Publishing a whole folder at once."""

from __future__ import annotations

import errno
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hpc.files import fsync_folder, fsync_tree
from hpc.storage import told_where

_ATTEMPTS = 100


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder beside `target` that takes its place when the block ends well.

    When the block fails nothing is left. An older `target` is moved aside first and then removed, so a kill
    between the two renames leaves no `target`, never a part of one. What the system
    refuses is told as `hpc.storage` tells it.
    """
    fresh = target.with_name(f".{target.name}.{secrets.token_hex(6)}.new")
    try:
        with told_where(target):
            fresh.mkdir(parents=True)
            yield fresh
            fsync_tree(fresh)
            _replace(fresh, target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _replace(fresh: Path, target: Path) -> None:
    """Rename `fresh` over `target`; another process that publishes between the two renames only costs a turn."""
    for attempt in range(1, _ATTEMPTS + 1):
        old = target.with_name(f".{target.name}.{secrets.token_hex(6)}.old")
        moved = False
        with suppress(FileNotFoundError):
            target.rename(old)
            moved = True
        try:
            fresh.rename(target)
            break
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                if moved:
                    with suppress(OSError):
                        old.rename(target)
                raise
            if attempt == _ATTEMPTS:
                raise
        finally:
            shutil.rmtree(old, ignore_errors=True)
    fsync_folder(target.parent)
