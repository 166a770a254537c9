"""The names of checkpoints, decided here alone: what has another name is no checkpoint, whatever it looks like."""

from __future__ import annotations

import re
from typing import NamedTuple

_NAME = r"step_([0-9]{10,18})(?:\.([1-9][0-9]{0,8}))?"
_CHECKPOINT = re.compile(_NAME)
_STAGING = re.compile(rf"\.{_NAME}\.[0-9a-f]{{8}}\.staging")
_SET_ASIDE = re.compile(rf"set_aside_{_NAME}(?:-[0-9]+)?")
_SUPERSEDED = re.compile(rf"\.({_NAME})\.superseded")


class Place(NamedTuple):
    """Where a checkpoint stands among the others; a later one is larger."""

    step: int
    again: int = 0
    """More than 0 for one made beside an older folder of the same step that could not be moved out of the way."""


def checkpoint_name(step: int, again: int = 0) -> str:
    """Folder name of a step; names sort like the steps."""
    return f"step_{step:010d}" + (f".{again}" if again else "")


def place_of(name: str) -> Place | None:
    """The place of a folder that `checkpoint_name` has named, None for any other name."""
    match = _CHECKPOINT.fullmatch(name)
    place = Place(int(match[1]), int(match[2] or 0)) if match else None
    return place if place is not None and checkpoint_name(*place) == name else None


def staging_name(name: str, word: str) -> str:
    """Of the folder in which a checkpoint is written, or from which it is deleted; `word` is 8 hexadecimal digits."""
    return f".{name}.{word}.staging"


def is_staging(name: str) -> bool:
    """Whether `staging_name` gave this name."""
    return _STAGING.fullmatch(name) is not None


def superseded_name(name: str) -> str:
    """Of the old folder of a step while the same step takes its place."""
    return f".{name}.superseded"


def original_name(name: str) -> str | None:
    """The name that a folder had before `superseded_name`, None where it is no such folder."""
    match = _SUPERSEDED.fullmatch(name)
    return match[1] if match and place_of(match[1]) else None


def set_aside_name(name: str, number: int) -> str:
    """Of a checkpoint that does not count any more; a second one of the name has `number` 2."""
    return f"set_aside_{name}" + (f"-{number}" if number > 1 else "")


def is_set_aside(name: str) -> bool:
    """Whether `set_aside_name` gave this name."""
    return _SET_ASIDE.fullmatch(name) is not None


def looks_like_one(name: str) -> bool:
    """Whether somebody may take a folder of this name for a checkpoint, which it is not."""
    return "step" in name.lower() and not name.startswith(".") and place_of(name) is None
