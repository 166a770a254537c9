"""Durable, atomic publication of files and folders: temporary name, fsync, rename, fsync of the parent.

A reader therefore sees the old content or the new one, never a part, also after a power cut.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PARTIAL_SUFFIX = ".partial"


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


def atomic_write_chunks(path: Path, chunks: Iterable[bytes | memoryview]) -> int:
    """Publish `chunks`, one after another, under `path`; returns the number of bytes.

    The temporary name is unique, so that two writers never share one, and ends in `.partial`, so that what a
    killed writer leaves behind can be swept.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(6)}{PARTIAL_SUFFIX}")
    size = 0
    try:
        with partial.open("xb") as file:
            for chunk in chunks:
                size += file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)
    return size


def atomic_write_bytes(path: Path, data: bytes | memoryview) -> None:
    """Publish `data` under `path`."""
    atomic_write_chunks(path, [data])


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
