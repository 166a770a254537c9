"""Where pairs come from: the user's columns as they are, and the pair or the reason of each row, piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pyarrow as pa

from snw_dist.scoring.percentile import Wanted
from snw_dist.scoring.table.sides import Pair, Refused
from snw_dist.scoring.table.survey import Survey

CHUNK_ROWS = 1 << 14
CHUNK_BYTES = 1 << 26
"""Of the user's cells. A piece is scored and kept as a whole, so it must fit the memory."""


@dataclass(frozen=True)
class Chunk:
    """Some rows, one after another."""

    rows: Sequence[int]
    """Their numbers; rows are counted from 1, and neither the header nor an empty line is a row."""
    lines: Sequence[int]
    """Where each row stands in its file."""
    cells: pa.Table
    """The user's columns; empty in a row whose cells cannot be told apart."""
    pairs: list[Pair | Refused]

    def take(self, places: Sequence[int]) -> Chunk:
        """Some of its rows."""
        cells = self.cells.take(pa.array(places, pa.int64()))
        rows, lines = ([numbers[place] for place in places] for numbers in (self.rows, self.lines))
        return Chunk(rows, lines, cells, [self.pairs[place] for place in places])


@dataclass(frozen=True)
class Source:
    """A table, or all pairs of two sets."""

    fields: list[pa.Field]
    """The user's columns; a name may be there twice."""
    chunks: Callable[[], Iterator[Chunk]]
    """All rows from the first on, in the same pieces every time."""
    made_of: dict[str, str]
    """What decides the rows: names and digests."""
    notes: list[str] = field(default_factory=list)
    survey: Callable[[Callable[[str], bool]], Survey] | None = None
    """Counts the rows quicker than by reading them; it is told whether a store holds a sequence."""
    wanted: Callable[[], Wanted] | None = None
    """Says which percentiles the rows need, quicker than by reading them."""
    best: Literal["row", "ligand"] = "row"
    """What `--top` counts. Of a ligand all rows are written."""
    file: str = ""
    """The name of the file whose lines the rows have; none of all pairs of two sets."""


def cells_table(columns: list[pa.Array]) -> pa.Table:
    """Columns under names of their own: those of the user may be anything."""
    return pa.table(columns, names=[f"cell_{place}" for place in range(len(columns))])
