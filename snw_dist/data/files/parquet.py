"""Opening Parquet files that may be damaged, or made to unpack to more than any memory holds.

A few kilobytes can say "this value, a billion times", or name one long text in every row. So the rows that a file
announces are held against its size, and texts are read as numbers into their dictionary, as they lie in the file.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hpc.errors import SnwError
from snw_dist.data.files.inputs import MAX_TOTAL_BYTES

MAX_RATIO = 1_000
"""Values in memory, at 8 bytes each, or text, to the size of the file; real tables have up to some 200."""
RATIO_FREE_BYTES = 1 << 26
"""The ratio is not looked at below 64 MiB, which do no harm."""


def open_parquet(path: Path, columns: list[str] | None, refuse: type[SnwError], fix: str) -> pq.ParquetFile:
    """A file whose texts come as dictionaries; of its `columns`, or all, no more is announced than a file can hold.

    Raises `refuse` with `fix` for what is no Parquet file, or unpacks to more.
    """
    try:
        with pq.ParquetFile(path) as plain:
            schema = plain.schema_arrow
        texts = [field.name for field in schema if _is_text(field.type)]
        file = pq.ParquetFile(path, read_dictionary=texts)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise refuse(f"{path}: not a readable Parquet file ({one_line(error)}). {fix}") from None
    metadata = file.metadata
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    rows = max(metadata.num_rows, sum(group.num_rows for group in groups))
    announced = max(rows * 8 * len(columns or schema.names), sum(group.total_byte_size for group in groups))
    if min(metadata.num_rows, *(group.num_rows for group in groups), 0) < 0 or announced > _most_bytes(path):
        raise refuse(
            f"{path}: says that it has {rows:,} rows of {metadata.num_columns} columns, {announced:,} bytes when "
            f"unpacked, in a file of {path.stat().st_size:,} bytes. {fix}"
        )
    return file


def read_parquet(path: Path, schema: pa.Schema, rows: int, refuse: type[SnwError], fix: str) -> pa.Table:
    """The whole of a table of this schema and with so many rows; raises `refuse` with `fix` for any other."""
    file = open_parquet(path, None, refuse, fix)
    found = file.metadata.num_rows
    if found != rows:
        raise refuse(f"{path}: {found:,} rows, not {rows:,}. {fix}")
    try:
        table = file.read()
        table.validate(full=True)  # texts that are none, and numbers beyond a dictionary
        if [(f.name, _plain_type(f.type)) for f in table.schema] != [(f.name, f.type) for f in schema]:
            raise refuse(f"{path}: the columns are {table.schema.names}, not {schema.names}, or of other types. {fix}")
        if len(table) != rows:
            raise refuse(f"{path}: {len(table):,} rows, not {rows:,}. {fix}")
        size = sum(text_bytes(chunk) for column in table.columns for chunk in column.chunks)
        if size > _most_bytes(path):
            raise refuse(f"{path}: {size:,} bytes of text in a file of {path.stat().st_size:,} bytes. {fix}")
        return table.cast(schema)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise refuse(f"{path}: damaged Parquet data ({one_line(error)}). {fix}") from None
    finally:
        file.close()


def text_bytes(column: pa.Array) -> int:
    """Bytes of the texts of a column when each row has its own; 0 for numbers."""
    if not pa.types.is_dictionary(column.type) or not _is_text(column.type.value_type):
        return 0
    lengths = pc.binary_length(column.dictionary).cast(pa.int64())
    return pc.sum(lengths.take(column.indices)).as_py() or 0


def one_line(error: Exception) -> str:
    """The message of an error of pyarrow, shortened."""
    return " ".join(str(error).split())[:200]


def _most_bytes(path: Path) -> int:
    return min(MAX_TOTAL_BYTES, max(RATIO_FREE_BYTES, MAX_RATIO * path.stat().st_size))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _plain_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
