"""The meaning of label and score cells, and what programs write for an empty one."""

from __future__ import annotations

import math
import re
from typing import Any

WORDS = {
    **dict.fromkeys(("true", "yes", "bound", "positive"), 1.0),
    **dict.fromkeys(("false", "no", "unbound", "negative"), 0.0),
}
INEQUALITIES = {
    **dict.fromkeys(("<", "<=", "=<", "<<", "≤", "⩽", "≪"), -1),
    **dict.fromkeys(("=", "=="), 0),
    **dict.fromkeys((">", ">=", "=>", ">>", "≥", "⩾", "≫"), 1),
}
"""Of an affinity. A limit that may be reached says as much as one that is passed: the number is one side's end."""
MISSING = ("NA", "NaN", "nan", "None", "null", "NULL")
"""What programs write for an empty cell. NA and NaN are peptides, too, but hardly ever meant: a row that is refused is
seen, a missing value with a score or a label is not."""
_WITH_INEQUALITY = re.compile(r"(<=|>=|=<|=>|<<|>>|==|[<>=≤≥⩽⩾≪≫])\s*(.*)")
_NUMBER_AND_MORE = re.compile(r"[^0-9a-zA-Z]*[0-9]")
_NM_IN = {"uM": 1e3, "M": 1e9}
_LEAST_PK, _MOST_PK = -3, 20
"""What was measured has 0 to 15; a number in nM is seldom between."""
_MOST_CHARACTERS = 500
"""Of a number. What is not one takes time that grows with the square of its length to tell."""
_WITH_COMMA = re.compile(r"[+-]?[0-9]*(?:,[0-9]+)+\.?[0-9]*(?:[eE][+-]?[0-9]+)?")
NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def as_text(cell: Any) -> str:
    """A cell as text; empty where it holds nothing."""
    return "" if cell is None else str(cell)


def is_number(text: str) -> bool:
    """Whether a cell is a number, of a sensible length."""
    return len(text) <= _MOST_CHARACTERS and NUMBER.fullmatch(text) is not None


def parse_label(cell: Any) -> float:
    """A label in [0, 1] from a number, a boolean or one of `WORDS`.

    Raises `ValueError` with the reason for an empty, non-finite, out-of-range or unreadable cell.
    """
    if isinstance(cell, str) and (word := WORDS.get(cell.lower())) is not None:
        return word
    value = _parse_number("label", cell, "neither a number nor a word like bound or unbound")
    if not 0 <= value <= 1:
        raise ValueError(f"the label {cell!r} is outside [0, 1]")
    return value


def parse_score(cell: Any) -> float:
    """A finite number; raises `ValueError` with the reason for any other cell."""
    return _parse_number("score", cell, "not a number")


def parse_affinity(cell: Any, unit: str = "nM") -> float:
    """An affinity in nM, such as an IC50, from a finite number above 0 in nM, uM or M, or from a pK (-log10 of M).

    Raises `ValueError` with the reason for any other cell.
    """
    value = parse_score(cell)
    if unit == "pK":
        if not _LEAST_PK <= value <= _MOST_PK:
            raise ValueError(
                f"the pK {cell!r} is not between {_LEAST_PK} and {_MOST_PK}, as -log10 of an affinity in M is"
            )
        return _rounded(10 ** (9 - value))
    if value <= 0:
        raise ValueError(f"the affinity {cell!r} is not above 0")
    return value if unit == "nM" else _rounded(value * _NM_IN[unit])


def _rounded(value: float) -> float:
    """Without the last digits, which only the change of the unit has made."""
    return float(f"{value:.12g}")


def parse_inequality(cell: Any) -> int:
    """-1 for `<` and `<=`, 0 for `=` or an empty cell, 1 for `>` and `>=`; raises `ValueError` for any other cell."""
    try:
        return INEQUALITIES["=" if cell in (None, "") else cell]
    except KeyError:
        raise ValueError(f"the inequality {cell!r} is not one of <, <=, =, >=, >") from None


def split_inequality(cell: Any) -> tuple[int | None, Any]:
    """The inequality that stands before a number in its cell, such as that of `>10000`, if any; and the number."""
    found = _WITH_INEQUALITY.fullmatch(cell) if isinstance(cell, str) else None
    return (None, cell) if found is None else (INEQUALITIES[found[1]], found[2])


def parse_binary(cell: Any) -> bool:
    """True or False from the same cells; raises `ValueError` for a number between 0 and 1 too."""
    value = parse_label(cell)
    if value not in (0.0, 1.0):
        raise ValueError(f"the binary label {cell!r} is neither 0 nor 1")
    return value == 1.0


def _parse_number(what: str, cell: Any, otherwise: str) -> float:
    if cell is None or cell == "":
        raise ValueError(f"the {what} is empty")
    if isinstance(cell, str) and len(cell) > _MOST_CHARACTERS:
        raise ValueError(f"the {what} {cell[:60]!r}... is longer than {_MOST_CHARACTERS} characters")
    if isinstance(cell, str) and not NUMBER.fullmatch(cell):
        if _WITH_COMMA.fullmatch(cell):
            raise ValueError(f"the {what} {cell!r} has a comma; write numbers with a point, and no comma")
        if _NUMBER_AND_MORE.match(cell):
            raise ValueError(f"the {what} {cell[:60]!r} is more than a number; write the number alone, without a unit")
        finite = cell.lower().lstrip("+-") not in ("nan", "inf", "infinity")
        raise ValueError(f"the {what} {cell[:60]!r} is {otherwise}" if finite else f"the {what} {cell!r} is not finite")
    value = float(cell)
    if not math.isfinite(value):
        raise ValueError(f"the {what} {cell!r} is not finite")
    return value + 0.0  # -0.0 becomes 0.0
