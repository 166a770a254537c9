"""The meaning of label cells."""

from __future__ import annotations

import re
from typing import Any

WORDS = {
    **dict.fromkeys(("true", "yes", "bound", "positive"), 1.0),
    **dict.fromkeys(("false", "no", "unbound", "negative"), 0.0),
}
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def parse_label(cell: Any) -> float:
    """A label in [0, 1] from a number, a boolean or one of `WORDS`.

    Raises `ValueError` with the reason for an empty, non-finite, out-of-range or unreadable cell.
    """
    if cell is None or cell == "":
        raise ValueError("the label is empty")
    if isinstance(cell, str):
        if (word := WORDS.get(cell.lower())) is not None:
            return word
        if cell.lower().lstrip("+-") in ("nan", "inf", "infinity"):
            raise ValueError(f"the label {cell!r} is not finite")
        if not _NUMBER.fullmatch(cell):
            raise ValueError(f"the label {cell[:60]!r} is neither a number nor a word like bound or unbound")
    value = float(cell)
    if not 0 <= value <= 1:
        finite = value == value and abs(value) != float("inf")
        raise ValueError(f"the label {cell!r} is {'outside [0, 1]' if finite else 'not finite'}")
    return value + 0.0  # -0.0 becomes 0.0


def parse_binary(cell: Any) -> bool:
    """True or False from the same cells; raises `ValueError` for a number between 0 and 1 too."""
    value = parse_label(cell)
    if value not in (0.0, 1.0):
        raise ValueError(f"the binary label {cell!r} is neither 0 nor 1")
    return value == 1.0
