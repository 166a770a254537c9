"""Where pairs come from: the user's columns as they are, and the pair or the reason of each row, piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from snw_dist.scoring.table.sides import Pair, Refused

CHUNK_ROWS = 8192
CHUNK_BYTES = 1 << 26
"""Of the user's cells. A piece is scored and kept as a whole, so it must fit the memory."""


@dataclass(frozen=True)
class Chunk:
    """Some rows, one after another."""

    first: int
    """The number of its first row; rows are counted from 1, and neither the header nor an empty line is a row."""
    lines: list[int]
    """Where each row stands in its file."""
    cells: pa.Table
    """The user's columns; empty in a row whose cells cannot be told apart."""
    pairs: list[Pair | Refused]


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


def cells_table(columns: list[pa.Array]) -> pa.Table:
    """Columns under names of their own: those of the user may be anything."""
    return pa.table(columns, names=[f"cell_{place}" for place in range(len(columns))])
