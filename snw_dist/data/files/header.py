"""The header line of a CSV or TSV: which delimiter it has, what stands before it, and whether it is one at all.

The ending of a name says which delimiter is meant, but spreadsheets and programs write others under any name. The one
that shows the wanted columns is taken, and said. So are comments and titles before the line that has them all.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from snw_dist.data.files.cells import is_number

DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars", " ": "blanks"}
_SEP_LINE = re.compile(r'"?sep\s*=\s?([^"\0])"?', re.IGNORECASE)


class Header(NamedTuple):
    """What the first lines of a table say."""

    line: int
    """Of the names, from 1."""
    names: list[str]
    delimiter: str
    notes: list[str]


def read_header(
    lines: Sequence[str], wanted: Sequence[str], delimiter: str, is_known: Callable[[str], bool]
) -> Header | None:
    """Find the names among the first lines of a table; None where there is none but comments and empty lines.

    `wanted` are the columns to be found, `delimiter` is what the name of the file says. Where no line has all of them,
    the first one that is no comment is taken. `is_known` as in `table.read_table`: a line with such a text is a row.
    """
    given, before = delimiter, []
    first: tuple[int, str] | None = None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if number == 1 and (separator := _SEP_LINE.fullmatch(line.strip(" \r\n"))):
            given = separator[1]
        elif found := next((text for text in (line, line.removeprefix("#")) if _holds(text, wanted, given)), None):
            first = number, found
            break
        else:
            before.append(number)
            if line.startswith("#"):
                continue
            first = first or (number, line)
            if any(is_known(cell) for delimiter in (given, *DELIMITERS) for cell in cells_of(line, delimiter)):
                break  # a row: what follows it is no header
    if first is None:
        return None
    number, text = first
    passed = [str(line) for line in before if line < number]
    notes = [f"what stands before the names is passed over (lines {', '.join(passed)})"] if passed else []
    found = _delimiter_of(text, wanted, given)
    if found != delimiter:
        notes.append(f"the cells are separated by {DELIMITERS.get(found, repr(found))}")
    return Header(number, cells_of(text, found), found, notes)


def looks_like_data(names: Sequence[str], is_known: Callable[[str], bool]) -> list[str]:
    """Those of the names that are no names: ids or sequences of the input, or numbers."""
    return [name for name in names if is_known(name) or is_number(name)]


def cells_of(line: str, delimiter: str) -> list[str]:
    """The cells of one line, without blanks around them; the line as it is where a quote in it is broken."""
    line = line.strip() if delimiter == " " else line
    try:
        reader = csv.reader([line], delimiter=delimiter, strict=True, skipinitialspace=True)
        return [cell.strip() for cell in next(reader, [])]
    except csv.Error:
        return [line.strip()]


def split_otherwise(line: str, delimiter: str, columns: int) -> str | None:
    """The name of another delimiter that makes so many cells of the line, if one does."""
    others = (other for other in DELIMITERS if other != delimiter)
    return next((DELIMITERS[other] for other in others if len(cells_of(line, other)) == columns), None)


def _delimiter_of(line: str, wanted: Sequence[str], given: str) -> str:
    """`given`, unless another one shows all wanted columns, or more of them than none."""

    def shown(delimiter: str) -> int:
        return len(set(wanted) & set(cells_of(line, delimiter)))

    if shown(given) == len(set(wanted)):
        return given
    best = max(DELIMITERS, key=shown)
    if shown(best) > shown(given):
        return best
    # No wanted column at all: a line that is one cell with `given` is better told apart by what it does have.
    if len(cells_of(line, given)) > 1 or shown(given):
        return given
    return next((d for d in DELIMITERS if len(cells_of(line, d)) > 1), given)


def _holds(line: str, wanted: Sequence[str], given: str) -> bool:
    return any(set(wanted) <= set(cells_of(line, delimiter)) for delimiter in (given, *DELIMITERS))
