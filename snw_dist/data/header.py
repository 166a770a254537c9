"""The header line of a CSV or TSV: which delimiter it has, what stands before it, and whether it is one at all.

The ending of a name says which delimiter is meant, but spreadsheets and programs write others under any name. The one
that shows the wanted columns is taken, and said.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from snw_dist.data.labels import NUMBER

DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}
_SEP_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)


class Header(NamedTuple):
    """What the first lines of a table say."""

    line: int
    """Of the names, from 1."""
    names: list[str]
    delimiter: str
    notes: list[str]


def read_header(lines: Sequence[str], wanted: Sequence[str], delimiter: str) -> Header | None:
    """Find the names among the first lines of a table; None where there is none but comments and empty lines.

    `wanted` are the columns to be found, `delimiter` is what the name of the file says.
    """
    given, notes = delimiter, []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if number == 1 and (separator := _SEP_LINE.fullmatch(line.strip(" \r\n"))):
            given = separator[1]
            continue
        if line.startswith("#") and not _holds(line.removeprefix("#"), wanted, given):
            notes.append(f"line {number} is a comment, passed over")
            continue
        text = line.removeprefix("#") if _holds(line.removeprefix("#"), wanted, given) else line
        found = _delimiter_of(text, wanted, given)
        if found != delimiter:
            notes.append(f"the cells are separated by {DELIMITERS.get(found, repr(found))}")
        return Header(number, _cells(text, found), found, notes)
    return None


def looks_like_data(names: Sequence[str], is_known: Callable[[str], bool]) -> list[str]:
    """Those of the names that are no names: ids or sequences of the input, or numbers."""
    return [name for name in names if is_known(name) or NUMBER.fullmatch(name)]


def _delimiter_of(line: str, wanted: Sequence[str], given: str) -> str:
    """`given`, unless another one shows all wanted columns, or more of them than none."""

    def shown(delimiter: str) -> int:
        return len(set(wanted) & set(_cells(line, delimiter)))

    if shown(given) == len(set(wanted)):
        return given
    best = max(DELIMITERS, key=shown)
    if shown(best) > shown(given):
        return best
    # No wanted column at all: a line that is one cell with `given` is better told apart by what it does have.
    alone = len(_cells(line, given)) == 1
    return max(DELIMITERS, key=lambda d: len(_cells(line, d))) if alone and shown(given) == 0 else given


def _holds(line: str, wanted: Sequence[str], given: str) -> bool:
    return any(set(wanted) <= set(_cells(line, delimiter)) for delimiter in (given, *DELIMITERS))


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter, strict=True), [])]
    except csv.Error:
        return [line.strip()]
