"""Pairs of a Parquet table: its columns keep their types and values."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hpc.errors import InputError
from snw_dist.data.files.parquet import one_line, open_parquet, text_bytes
from snw_dist.data.files.table import MAX_BATCH_BYTES
from snw_dist.scoring.table.sides import Refused, Side, pair_of
from snw_dist.scoring.table.source import CHUNK_ROWS, Chunk, Source, cells_table
from snw_dist.scoring.table.text import no_columns

_AGAIN = "Write it again, or as CSV."


def parquet_source(path: Path, sides: tuple[Side, Side], rows: int = CHUNK_ROWS) -> Source:
    """The rows of a table; raises `InputError` for what is none, and where the columns of the pairs are not found."""
    file = open_parquet(path, None, InputError, _AGAIN)
    fields = list(pq.read_schema(path))
    file.close()
    names = [field.name for field in fields]
    needed = [side for side in sides if side.given is None]
    if any(side.column_among(names) is None for side in needed):
        raise no_columns(str(path), names, needed)
    return Source(fields, lambda: _chunks(path, fields, sides, rows), {}, file=path.name)


def _chunks(path: Path, fields: list[pa.Field], sides: tuple[Side, Side], rows: int) -> Iterator[Chunk]:
    first = 1
    try:
        with open_parquet(path, None, InputError, _AGAIN) as file:
            for batch in file.iter_batches(batch_size=rows):
                batch.validate(full=True)
                if sum(map(text_bytes, batch.columns)) > MAX_BATCH_BYTES:
                    raise InputError(f"{path}:{first}: the cells of {len(batch):,} rows are too long to be held.")
                columns = [column.cast(field.type) for column, field in zip(batch.columns, fields, strict=True)]
                if len(batch):
                    yield _chunk(first, columns, [field.name for field in fields], sides)
                first += len(batch)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}:{first}: damaged Parquet data ({one_line(error)}). Write the table again.") from None


def _chunk(first: int, columns: list[pa.Array], names: list[str], sides: tuple[Side, Side]) -> Chunk:
    size = len(columns[0])
    found = []
    for side in sides:
        name = None if side.given is not None else side.column_among(names)
        cells = [""] * size if name is None else columns[names.index(name)].to_pylist()
        found.append([_find(side, cell) for cell in cells])
    pairs = [pair_of(ligand, receptor) for ligand, receptor in zip(*found, strict=True)]
    rows = range(first, first + size)
    return Chunk(rows, rows, cells_table(columns), pairs)


def _find(side: Side, cell: Any) -> str | Refused:
    if cell is None:
        return side.find("")
    if isinstance(cell, str) or (isinstance(cell, int) and not isinstance(cell, bool)):
        return side.find(str(cell))
    return Refused(f"the {side.kind} is no text but {type(cell).__name__}")
