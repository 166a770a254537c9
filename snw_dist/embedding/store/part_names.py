"""Which folders are the parts of a store; only decided here.

The store itself is the first part, what was appended is in `append_1`, `append_2`, ... in it. All that is unfinished
in a part is in its folder `.parts`; a part that has nothing else has not been begun and does not count yet.
"""

from __future__ import annotations

import functools
import logging
import re
from pathlib import Path

from hpc.errors import CorruptError, InputError

RECORDS = ".parts"
"""In a part while it is filled: records of the shards, claims of the jobs, and what they are making."""
_PART = re.compile(r"append_([1-9][0-9]{0,5})")
log = logging.getLogger(__name__)


def owner_name(task: int) -> str:
    """Names the claims of one task of an array on `RECORDS`; task 0 is also who fills or mends a part alone."""
    return f"attempt_{task}.json"


def part_path(store: Path, part: int) -> Path:
    """Folder of a part: the store itself, then `append_1`, `append_2`, ..."""
    return store / f"append_{part}" if part else store


def part_paths(store: Path) -> list[Path]:
    """The parts that have been begun, in order; the first one also where there is no store.

    A name that is only like one of a part is passed over with a warning. Raises `CorruptError` where a part is missing
    in between or is no folder, and `InputError` when the store is none.
    """
    if not store.is_dir() and (store.exists() or store.is_symlink()):
        raise InputError(
            f"{store}: not a folder, so it is no embedding store. Move it away, or choose another store.path."
        )
    numbers = []
    for path in store.glob("append_*"):
        match = _PART.fullmatch(path.name)
        if match is None:
            _pass_over(path)
        elif not path.is_dir():
            raise CorruptError(f"{path}: not a folder, so it is no part of the store. Move it away.")
        elif is_begun(path):
            numbers.append(int(match[1]))
    missing = sorted(set(range(1, max(numbers, default=0))) - set(numbers))
    if missing:
        raise CorruptError(
            f"{part_path(store, missing[0])}: missing, though append_{max(numbers)} is there. Bring it back, or remove "
            "the parts after it and append again: snw-dist embed --append"
        )
    return [part_path(store, part) for part in range(len(numbers) + 1)]


def is_begun(part: Path) -> bool:
    """Whether there is more than a claim."""
    return part.is_dir() and any(not path.name.startswith(".") for path in part.iterdir())


@functools.cache
def _pass_over(path: Path) -> None:
    """Once a process: every part of the program asks for the parts."""
    log.warning("%s: its name is not that of a part (append_1, append_2, ...); it is left alone and not read", path)
