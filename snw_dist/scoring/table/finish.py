"""The output and the table of rejected rows, from all pieces; the output appears as a whole.

In CSV and TSV a text of the user that a spreadsheet would run as a formula gets an apostrophe in front, a number none.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hpc.disk.files import publish_file
from hpc.shown import spreadsheet_cell
from snw_dist.data.files.cells import is_number
from snw_dist.scoring.columns import VERSION, Column

DELIMITERS = {".csv": ",", ".tsv": "\t"}


def output_schema(fields: Sequence[pa.Field], columns: Sequence[Column]) -> pa.Schema:
    """The columns of the output: the user's, then ours."""
    return pa.schema([*fields, *(column.field for column in columns)], metadata={"snw_schema": str(VERSION)})


def write_output(path: Path, work: Path, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    """Write all rows to `path`, by its ending; in the folder `work` on the same file system until they are whole."""
    part = work / "output"
    if path.suffix.lower() == ".parquet":
        with pq.ParquetWriter(part, schema) as writer:
            for table in tables:
                writer.write_table(_with(schema, table))
    else:
        with part.open("wb") as file:
            write_text(file, DELIMITERS[path.suffix.lower()], schema, tables)
    publish_file(part, path)


def write_text(file: IO[bytes], delimiter: str, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    """The header and all rows as text; numbers of ours in the shortest form that reads back as the same."""
    file.write(_lines([[_cell(name) for name in schema.names]], delimiter))
    for table in tables:
        columns = [[_cell(value) for value in column.to_pylist()] for column in table.columns]
        file.write(_lines(zip(*columns, strict=True), delimiter))


def write_rejected(path: Path, work: Path, rejected: Iterable[pa.Table]) -> None:
    """`row,line,reason` of the rows without a score; as `write_output`."""
    part = work / "rejected"
    with part.open("wb") as file:
        file.write(_lines([["row", "line", "reason"]], ","))
        for table in rejected:
            file.write(_lines(_rejected_rows(table), ","))
    publish_file(part, path)


def best_of_each(table: pa.Table, top: int) -> pa.Table:
    """The `top` best rows of each receptor, best first; receptors and equal scores stay in their order.

    Its column `receptor` says which rows are of one.
    """
    first = table.group_by("receptor", use_threads=False).aggregate([("row", "min")])
    of_receptor = dict(zip(first.column("receptor").to_pylist(), first.column("row_min").to_pylist(), strict=True))
    keys = pa.array([of_receptor[one] for one in table.column("receptor").to_pylist()], pa.int64())
    order = [("of_receptor", "ascending"), ("snw_score", "descending"), ("row", "ascending")]
    ordered = table.append_column("of_receptor", keys)
    ordered = ordered.take(pc.sort_indices(ordered, sort_keys=order))
    kept, before, count = [], None, 0
    for place, key in enumerate(ordered.column("of_receptor").to_pylist()):
        before, count = key, count + 1 if key == before else 1
        if count <= top:
            kept.append(place)
    return ordered.take(pa.array(kept, pa.int64())).drop_columns(["of_receptor"])


def _rejected_rows(table: pa.Table) -> Iterator[tuple[int, int, str]]:
    columns = [table.column(name).to_pylist() for name in ("row", "line", "reason")]
    yield from ((row, line, spreadsheet_cell(reason)) for row, line, reason in zip(*columns, strict=True))


def _with(schema: pa.Schema, table: pa.Table) -> pa.Table:
    return pa.Table.from_arrays([column.combine_chunks() for column in table.columns], schema=schema)


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, str):
        return value if is_number(value) else spreadsheet_cell(value)
    if isinstance(value, bytes):
        return spreadsheet_cell(value.decode("utf-8", "backslashreplace"))
    return value


def _lines(rows: Iterable[Sequence[Any]], delimiter: str) -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
