"""Pairs of a CSV or TSV table: cells are text, and stay as they are.

It is read as `snw_dist.data.files.table` does: packed or not, with other delimiters than its name says, with comments
before the names. A bare table of two or three columns needs no names.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from hpc.errors import InputError
from snw_dist.data.files.header import DELIMITERS, Header, cells_of, read_header
from snw_dist.data.files.rejects import shown_names
from snw_dist.data.files.table import MOST_HEADER_LINES, csv_lines, csv_rows, of_other_size
from snw_dist.scoring.table.sides import Pair, Refused, Side, pair_of
from snw_dist.scoring.table.source import CHUNK_BYTES, CHUNK_ROWS, Chunk, Source, cells_table


class _Layout(NamedTuple):
    header: Header
    bare: bool
    """There is no line of names: the first line is a row."""
    places: list[int | None]
    """Of the columns of ligand and receptor; None where the side is given for all rows."""


def text_source(
    path: Path, delimiter: str, sides: tuple[Side, Side], bare: bool, rows: int = CHUNK_ROWS
) -> tuple[Source, str]:
    """The rows of a table, and their delimiter; `bare`: it has no line of names, whatever its first line looks like.

    Raises `InputError` where the columns of the pairs are not found, and while reading as `read_table` does.
    """
    with contextlib.closing(csv_lines(path, 1)) as lines:
        first = list(itertools.islice(lines, MOST_HEADER_LINES))
    layout = _layout(path, first, delimiter, sides, bare)
    notes = [*layout.header.notes, *(["there is no line of names"] if layout.bare else [])]
    fields = [pa.field(name, pa.string()) for name in layout.header.names]
    source = Source(
        fields, lambda: _chunks(path, layout, sides, rows), {}, [f"{path.name}: {n}." for n in notes], file=path.name
    )
    return source, layout.header.delimiter if layout.header.delimiter in (",", "\t") else ","


def _layout(path: Path, first: Sequence[str], delimiter: str, sides: Sequence[Side], bare: bool) -> _Layout:
    needed = [side for side in sides if side.given is None]
    shown: tuple[int, str] | None = None
    for number, line in enumerate(first, start=1):
        if not line.strip():
            continue
        if not bare and (header := _names(first, line, delimiter, needed)):
            return _Layout(header, False, _places(header.names, sides))
        if line.startswith("#"):
            continue
        if shown is None and (found := _row(line, delimiter, needed, bare)):
            names = _made_names(needed, len(cells_of(line, found)))
            notes = [] if found == delimiter else [f"the cells are separated by {DELIMITERS.get(found, repr(found))}"]
            return _Layout(Header(number, names, found, notes), True, _places(names, sides))
        shown = shown or (number, line)
    if shown is None:
        names = [side.column or side.kind for side in needed]
        nothing = "it is empty, without even a line of names. See whether something was lost on the way"
        return _Layout(Header(1, names, delimiter, [nothing]), False, _places(names, sides))
    names = cells_of(shown[1], max([delimiter, *DELIMITERS], key=lambda one: len(cells_of(shown[1], one))))
    raise no_columns(f"{path}:{shown[0]}", names, needed)


def no_columns(where: str, names: Sequence[str], needed: Sequence[Side]) -> InputError:
    """The error for a table without the columns of the pairs."""
    missing = [side.kind for side in needed if side.column_among(names) is None] or [side.kind for side in needed]
    options = " and ".join(f"--{kind}-column NAME" for kind in missing)
    return InputError(
        f"{where}: no column with the {' and the '.join(missing)}; the columns are: {shown_names(names)}. Name it: "
        f"{options}, or give --no-header where the first line is a row."
    )


def _names(first: Sequence[str], line: str, delimiter: str, needed: Sequence[Side]) -> Header | None:
    """The header where this line has the columns of all sides."""
    for text in (line, line.removeprefix("#")):
        for one in (delimiter, *DELIMITERS):
            names = cells_of(text, one)
            wanted = [name for side in needed if (name := side.column_among(names)) is not None]
            if len(set(wanted)) == len(needed):
                header = read_header(first, wanted, delimiter, lambda _: False)
                if header is not None and set(wanted) <= set(header.names):
                    return header
    return None


def _row(line: str, delimiter: str, needed: Sequence[Side], bare: bool) -> str | None:
    """The delimiter where this line is a row: one cell for each side, and at most one more.

    Names may look like sequences, as LIGAND does: a line with one that is known, and without the others, is no row.
    """
    for one in (delimiter, *DELIMITERS):
        cells = cells_of(line, one)
        fits = len(needed) <= len(cells) <= len(needed) + 1
        found = zip(needed, cells, strict=False)
        named = any(side.column is not None or side.column_among(cells) is not None for side in needed)
        if fits and (bare or not (named or any(isinstance(side.find(cell), Refused) for side, cell in found))):
            return one
    return None


def _made_names(needed: Sequence[Side], size: int) -> list[str]:
    own = [side.column or side.kind for side in needed]
    return [*own, *(f"column_{number}" for number in range(len(own) + 1, size + 1))]


def _places(names: list[str], sides: Sequence[Side]) -> list[int | None]:
    found = [None if side.given is not None else side.column_among(names) for side in sides]
    return [None if name is None else names.index(name) for name in found]


def _chunks(path: Path, layout: _Layout, sides: tuple[Side, Side], most_rows: int) -> Iterator[Chunk]:
    size = len(layout.header.names)
    count, held = 0, _Held(size)
    for line, cells in _rows(path, layout):
        pair = _pair(line, cells, layout, sides)
        held.add(line, cells if len(cells) == size else None, pair)
        count += 1
        if len(held.lines) == most_rows or held.bytes > CHUNK_BYTES:
            yield held.chunk(count)
            held = _Held(size)
    if held.lines:
        yield held.chunk(count)


def _rows(path: Path, layout: _Layout) -> Iterator[tuple[int, list[str]]]:
    rows = csv_rows(path, layout.header, keep_blanks=True)
    if not layout.bare:
        next(rows, None)  # the names
    return rows


def _pair(line: int, cells: list[str], layout: _Layout, sides: tuple[Side, Side]) -> Pair | Refused:
    names = layout.header.names
    if len(cells) != len(names):
        row = of_other_size(line, cells, len(names), layout.header.delimiter)
        return Refused(f"{row.problem}. {row.fix}".rstrip("."))
    if not layout.bare and all(cells[at].strip() == names[at] for at in layout.places if at is not None):
        return Refused("the header again")
    return pair_of(*(side.find("" if at is None else cells[at]) for side, at in zip(sides, layout.places, strict=True)))


class _Held:
    """The rows of one piece while it is read."""

    def __init__(self, size: int) -> None:
        self.lines: list[int] = []
        self.bytes = 0
        self._columns: list[list[str | None]] = [[] for _ in range(size)]
        self._pairs: list[Pair | Refused] = []

    def add(self, line: int, cells: list[str] | None, pair: Pair | Refused) -> None:
        self.lines.append(line)
        self._pairs.append(pair)
        for place, column in enumerate(self._columns):
            column.append(None if cells is None else cells[place])
        self.bytes += 0 if cells is None else sum(map(len, cells))

    def chunk(self, last: int) -> Chunk:
        columns = [pa.array(column, pa.string()) for column in self._columns]
        return Chunk(range(last - len(self.lines) + 1, last + 1), self.lines, cells_table(columns), self._pairs)
