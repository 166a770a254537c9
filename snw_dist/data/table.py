"""Raw rows of the pair table, CSV, TSV or Parquet by its ending; what the cells mean is for `pairs`.

CSV and TSV may end in `.gz`, are read with the `csv` module in strict mode and have a header line; empty
lines are passed over, blanks around cells removed, and a cell may not hold a line break. Parquet rows are
numbered from 1. A row with the wrong number of cells can be rejected alone; after a broken quote nothing can
be trusted.
"""

from __future__ import annotations

import csv
import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from hpc.errors import InputError
from snw_dist.data.parquet import one_line, open_parquet, text_bytes
from snw_dist.data.text import read_lines

Cell = str | float | None
"""CSV cells are stripped text; Parquet cells keep their type (bool and int are floats to Python's typing)."""

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_BATCH_ROWS = 1 << 16
_MAX_BATCH_BYTES = 1 << 28


class Row(NamedTuple):
    """The wanted cells of one row, or `problem` when they cannot be told apart."""

    line: int
    cells: tuple[Cell, ...]
    problem: str = ""


class RawTable(NamedTuple):
    """The columns that are not used, and the rows, to be read once."""

    other_columns: list[str]
    rows: Iterator[Row]


def read_table(path: Path, columns: Mapping[str, str]) -> RawTable:
    """Open a pair table; `columns` maps settings (`data.columns.label`) to the column each of them names.

    Cells come in the order of `columns`. Raises `InputError` for another ending, a missing or repeated
    column, an empty table and, while reading, for NUL, a broken quote or damaged Parquet data.
    """
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    if suffix == ".parquet" and not path.name.lower().endswith(".gz"):
        return _read_parquet(path, columns)
    if suffix in _DELIMITERS:
        return _read_csv(path, columns, _DELIMITERS[suffix])
    raise InputError(
        f"{path}: the kind of table is told by its ending. Name it .csv, .tsv, .csv.gz, .tsv.gz or .parquet."
    )


def _read_csv(path: Path, columns: Mapping[str, str], delimiter: str) -> RawTable:
    rows = _csv_rows(path, delimiter)
    first = next(rows, None)
    if first is None:
        raise InputError(f"{path}:1: the table is empty. It must have a header line and one line for each pair.")
    line, header = first
    header = [name.strip() for name in header]
    indices = _find_columns(f"{path}:{line}", header, columns)

    def wanted() -> Iterator[Row]:
        for line, row in rows:
            if len(row) == len(header):
                yield Row(line, tuple([row[i].strip() for i in indices]))
            else:
                yield Row(line, (), f"{len(row)} columns, the header has {len(header)}")

    return RawTable([name for i, name in enumerate(header) if i not in indices], wanted())


def _csv_rows(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(_csv_lines(path), delimiter=delimiter, strict=True)
    begin = 1
    try:
        for row in reader:
            if reader.line_num != begin:
                raise InputError(f"{path}:{begin}: a quoted cell runs over the end of its line. Close the quote there.")
            if row:
                yield begin, row
            begin += 1
    except csv.Error as error:
        if "field limit" in str(error) or "unexpected end" in str(error):
            reason = 'a quote (") is opened and not closed, or a cell is too long'
        else:
            reason = f'a quote (") is out of place ({error})'
        raise InputError(f"{path}:{begin}: {reason}. Close it, or double quotes that belong to a value.") from None


def _csv_lines(path: Path) -> Iterator[str]:
    for number, line in enumerate(read_lines(path), start=1):
        if "\0" in line:
            raise InputError(f"{path}:{number}: NUL character. Save the table as UTF-8 text.")
        yield line + "\n"


def _read_parquet(path: Path, columns: Mapping[str, str]) -> RawTable:
    file = open_parquet(path, list(columns.values()), InputError, "Write it again, or as CSV.")
    schema = file.schema_arrow
    _find_columns(str(path), schema.names, columns)
    for setting, name in columns.items():
        _check_type(path, setting, schema.field(name))
    return RawTable([n for n in schema.names if n not in columns.values()], _parquet_rows(path, file, columns))


def _parquet_rows(path: Path, file: pq.ParquetFile, columns: Mapping[str, str]) -> Iterator[Row]:
    row = 0
    try:
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=list(columns.values())):
            batch.validate(full=True)
            if sum(map(text_bytes, batch.columns)) > _MAX_BATCH_BYTES:
                raise InputError(
                    f"{path}:{row + 1}: the cells of {len(batch):,} rows from here on are longer than "
                    f"{_MAX_BATCH_BYTES:,} bytes. An id is a short text."
                )
            for cells in zip(*(batch.column(name).to_pylist() for name in columns.values()), strict=True):
                row += 1
                yield Row(row, tuple([c.strip() if isinstance(c, str) else c for c in cells]))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}:{row + 1}: damaged Parquet data ({one_line(error)}). Write the table again."
        ) from None


def _check_type(path: Path, setting: str, field: pa.Field) -> None:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    whole = pa.types.is_integer(kind)
    number = whole or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    is_label = setting.endswith((".label", ".binary"))
    if not (text or whole or (number and is_label) or pa.types.is_null(kind)):
        wanted = "numbers, booleans or strings" if is_label else "strings or whole numbers"
        raise InputError(f"{path}: column {field.name!r} is {field.type}. {setting} must name one of {wanted}.")


def _find_columns(where: str, header: Sequence[str], columns: Mapping[str, str]) -> list[int]:
    indices: dict[int, str] = {}
    for setting, name in columns.items():
        if header.count(name) != 1:
            have = ", ".join(header)
            state = f"no column {name!r}" if name not in header else f"column {name!r} is there twice"
            close = difflib.get_close_matches(name, header, n=1)
            hint = f", perhaps {close[0]!r}" if close and name not in header else ""
            null = " (or null, for a random split)" if setting.endswith(".split") else ""
            raise InputError(f"{where}: {state}; the columns are: {have}. Set {setting}{hint}{null}.")
        index = header.index(name)
        if index in indices:
            raise InputError(f"{where}: {setting} and {indices[index]} both name {name!r}. Give each its own.")
        indices[index] = setting
    return list(indices)
