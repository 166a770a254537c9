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
from snw_dist.data.files.rejects import REJECT_COLUMNS
from snw_dist.scoring.columns import VERSION, Column

DELIMITERS = {".csv": ",", ".tsv": "\t"}
_ROWS_AT_ONCE = 1 << 18


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


def output_bytes(path: Path | None, schema: pa.Schema, table: pa.Table) -> int:
    """How much these rows take in an output of this name; None is a stream of text."""
    suffix, file = ".csv" if path is None else path.suffix.lower(), io.BytesIO()
    if suffix == ".parquet":
        pq.write_table(_with(schema, table), file)
    else:
        write_text(file, DELIMITERS[suffix], schema, [table])
    return file.getbuffer().nbytes


def write_text(file: IO[bytes], delimiter: str, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    """The header and all rows as text; numbers of ours in the shortest form that reads back as the same."""
    file.write(_lines([[_cell(name) for name in schema.names]], delimiter))
    for table in tables:
        columns = [[_cell(value) for value in column.to_pylist()] for column in table.columns]
        file.write(_lines(zip(*columns, strict=True), delimiter))


def write_rejected(path: Path, work: Path, source: str, rejected: Iterable[pa.Table]) -> None:
    """The rows without a score, with the columns of `rejects_csv` and their numbers; as `write_output`.

    source: the name of the file that the rows are from.
    """
    part = work / "rejected"
    with part.open("wb") as file:
        file.write(_lines([[*REJECT_COLUMNS, "row"]], ","))
        for table in rejected:
            file.write(_lines(_rejected_rows(table, source), ","))
    publish_file(part, path)


def best_of_each(tables: Iterable[pa.Table], top: int, of: str) -> pa.Table:
    """The best rows of each receptor, best first, from at least one table; receptors and equal scores in their order.

    The column `receptor` says which rows are of one receptor. Those of the `top` best different values of the column
    `of` are kept. Only what may still be among the best is in memory.
    """
    held: list[pa.Table] = []
    for table in tables:
        held.append(table)
        if sum(map(len, held[1:])) > max(_ROWS_AT_ONCE, len(held[0])):
            held = [_best_of_each(pa.concat_tables(held), top, of)]
    return _best_of_each(pa.concat_tables(held), top, of)


def _best_of_each(table: pa.Table, top: int, of: str) -> pa.Table:
    first = table.group_by("receptor", use_threads=False).aggregate([("row", "min")])
    of_receptor = dict(zip(first.column("receptor").to_pylist(), first.column("row_min").to_pylist(), strict=True))
    keys = pa.array([of_receptor[one] for one in table.column("receptor").to_pylist()], pa.int64())
    order = [("of_receptor", "ascending"), ("snw_score", "descending"), ("row", "ascending")]
    ordered = table.append_column("of_receptor", keys)
    ordered = ordered.take(pc.sort_indices(ordered, sort_keys=order))
    kept, before, seen = [], None, set[Any]()
    for place, (key, one) in enumerate(zip(*(ordered.column(n).to_pylist() for n in ("of_receptor", of)), strict=True)):
        if key != before:
            before, seen = key, set()
        if len(seen) < top or one in seen:
            seen.add(one)
            kept.append(place)
    return ordered.take(pa.array(kept, pa.int64())).drop_columns(["of_receptor"])


def _rejected_rows(table: pa.Table, source: str) -> Iterator[list[int | str]]:
    for row in table.select(["line", "id", "reason", "value", "row"]).to_pylist():
        texts = [spreadsheet_cell(row[name]) for name in ("id", "reason", "value")]
        yield [spreadsheet_cell(source), row["line"], *texts, row["row"]]


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
