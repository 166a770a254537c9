"""Raw rows of the pair table, CSV, TSV or Parquet by its ending; what the cells mean is for `pairs`.

CSV and TSV may be packed (see `unpacked`), are read with the `csv` module in strict mode and have a header line (see
`header`); empty lines are passed over, blanks around cells removed, and a cell may not hold a line break. The header
again, as in tables that were joined, is a bad row. Parquet rows are numbered from 1. A row with the wrong number of
cells can be rejected alone; after a broken quote nothing can be trusted.
"""

from __future__ import annotations

import contextlib
import csv
import decimal
import itertools
from collections.abc import Collection, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hpc.errors import InputError
from snw_dist.data.files.columns import IsKnown, find_columns, refuse_data_as_header
from snw_dist.data.files.header import Header, read_header, split_otherwise
from snw_dist.data.files.parquet import one_line, open_parquet, text_bytes
from snw_dist.data.files.text import read_lines
from snw_dist.data.files.unpacked import without_packing

Cell = str | float | None
"""CSV cells are stripped text; Parquet cells keep their type (bool and int are floats to Python's typing)."""

DELIMITERS_OF = {".csv": ",", ".tsv": "\t"}
_BATCH_ROWS = 1 << 16
_BATCH_ROWS_OF_SEQUENCES = 1 << 12
MAX_BATCH_BYTES = 1 << 28
MOST_HEADER_LINES = 200
"""Comments and the line of names."""


class Row(NamedTuple):
    """The wanted cells of one row, or `problem` when they cannot be told apart."""

    line: int
    cells: tuple[Cell, ...]
    problem: str = ""
    fix: str = ""


class RawTable(NamedTuple):
    """The columns that are not used, and the rows, to be read once."""

    columns: Mapping[str, str]
    """The wanted ones that are there, by setting, in the order of the cells."""
    other_columns: list[str]
    rows: Iterator[Row]
    notes: list[str]
    """What was read otherwise than the ending says, such as another delimiter."""


def read_table(
    path: Path, columns: Mapping[str, str], is_known: IsKnown = lambda text: False, may_lack: Collection[str] = ()
) -> RawTable:
    """Open a pair table; `columns` maps settings (`data.columns.label`) to the column each of them names.

    Cells come in the order of `columns`, of which those in `may_lack` need not be there. `is_known` says of a text that
    it is an id or a sequence of the input, and so no name of a column. Raises `InputError` for another ending, a
    missing or repeated column, a table without a header line, an empty table and, while reading, for NUL, a broken
    quote or damaged Parquet data.
    """
    suffix = Path(without_packing(path)).suffix
    if path.name.lower().endswith(".parquet"):
        return _read_parquet(path, columns, is_known, may_lack)
    if suffix in DELIMITERS_OF:
        return _read_csv(path, columns, DELIMITERS_OF[suffix], is_known, may_lack)
    with contextlib.closing(read_lines(path)) as lines:
        next(lines, "")  # what it is may be known by its first bytes
    raise InputError(
        f"{path}: the kind of table is told by its ending. Name it .csv, .tsv (packed: .csv.gz, .csv.xz, ...) or "
        ".parquet."
    )


def _read_csv(
    path: Path, columns: Mapping[str, str], delimiter: str, is_known: IsKnown, may_lack: Collection[str]
) -> RawTable:
    with contextlib.closing(csv_lines(path, 1)) as lines:
        first = list(itertools.islice(lines, MOST_HEADER_LINES))
        needed = [column for setting, column in columns.items() if setting not in may_lack]
        header = read_header(first, needed, delimiter, is_known)
    if header is None:
        raise InputError(f"{path}:1: the table is empty. It must have a header line and one line for each pair.")
    names, where = header.names, f"{path}:{header.line}"
    columns = _present(columns, names, may_lack)
    rows = csv_rows(path, header)
    next(rows)  # the names, of which a broken quote is told here
    refuse_data_as_header(where, names, columns, is_known)
    indices = find_columns(where, names, columns)
    again = tuple([names[i] for i in indices])

    def wanted() -> Iterator[Row]:
        for line, row in rows:
            if len(row) != len(names):
                yield of_other_size(line, row, len(names), header.delimiter)
            elif (cells := tuple([row[i].strip() for i in indices])) == again:
                yield Row(line, (), "the header again", "Remove the line.")
            else:
                yield Row(line, cells)

    return RawTable(columns, [name for i, name in enumerate(names) if i not in indices], wanted(), header.notes)


def _present(columns: Mapping[str, str], names: Collection[str], may_lack: Collection[str]) -> dict[str, str]:
    return {setting: column for setting, column in columns.items() if setting not in may_lack or column in names}


def of_other_size(line: int, row: list[str], size: int, delimiter: str) -> Row:
    """A row with too many or too few cells, and what may be the cause."""
    problem = f"{len(row)} columns, the header has {size}"
    other = split_otherwise(row[0], delimiter, size) if len(row) == 1 and size > 1 else None
    if other:
        return Row(line, (), f"{problem}; its cells seem to be separated by {other}", "Separate all alike.")
    if row[0].startswith("#"):
        return Row(line, (), f"{problem}; comments are passed over before the header only", "Remove the line.")
    if len(row) < size:
        return Row(line, (), problem, "Add the missing cells or remove the line.")
    fix = "A cell with a delimiter must be quoted."
    return Row(
        line, (), problem, f"{fix} If all rows have one more, the header lacks a name." if len(row) == size + 1 else fix
    )


def csv_rows(path: Path, header: Header, keep_blanks: bool = False) -> Iterator[tuple[int, list[str]]]:
    """The line of names and all that follow, each with its number; empty lines are passed over.

    With `keep_blanks` a cell keeps the blanks before it, and a quote behind a blank opens none. Raises `InputError`
    for a broken quote.
    """
    lines = csv_lines(path, header.line)
    if header.delimiter == " ":
        lines = (line.strip() + "\n" for line in lines)  # of several blanks between cells the reader makes one
    skips = not keep_blanks or header.delimiter == " "
    reader = csv.reader(lines, delimiter=header.delimiter, strict=True, skipinitialspace=skips)
    before = header.line - 1
    begin = header.line
    try:
        for row in reader:
            if before + reader.line_num != begin:
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


def csv_lines(path: Path, first: int) -> Generator[str]:
    """The lines of a table with their line ends, from number `first` on; raises `InputError` for a NUL."""
    for number, line in enumerate(read_lines(path), start=1):
        if "\0" in line:
            raise InputError(f"{path}:{number}: NUL character. Save the table as UTF-8 text.")
        if number >= first:
            yield line + "\n"


def _read_parquet(path: Path, columns: Mapping[str, str], is_known: IsKnown, may_lack: Collection[str]) -> RawTable:
    with path.open("rb") as content:
        if content.read(4) != b"PAR1":
            raise InputError(
                f"{path}: is no Parquet table, whatever its name says. Let it end in what it is, such as .csv, "
                "or unpack it."
            )
    file = open_parquet(path, list(columns.values()), InputError, "Write it again, or as CSV.")
    schema = file.schema_arrow
    columns = _present(columns, schema.names, may_lack)
    refuse_data_as_header(str(path), schema.names, columns, is_known)
    find_columns(str(path), schema.names, columns)
    for setting, name in columns.items():
        _check_type(path, setting, schema.field(name))
    others = [name for name in schema.names if name not in columns.values()]
    return RawTable(columns, others, _parquet_rows(path, file, columns), [])


def _parquet_rows(path: Path, file: pq.ParquetFile, columns: Mapping[str, str]) -> Iterator[Row]:
    row = 0
    long = any(setting.endswith("_sequence") for setting in columns)
    at_once = _BATCH_ROWS_OF_SEQUENCES if long else _BATCH_ROWS
    try:
        for batch in file.iter_batches(batch_size=at_once, columns=list(columns.values())):
            batch.validate(full=True)
            if sum(map(text_bytes, batch.columns)) > MAX_BATCH_BYTES:
                raise InputError(
                    f"{path}:{row + 1}: the cells of {len(batch):,} rows from here on are longer than "
                    f"{MAX_BATCH_BYTES:,} bytes. An id is a short text."
                )
            for cells in zip(*(batch.column(name).to_pylist() for name in columns.values()), strict=True):
                row += 1
                yield Row(row, tuple([_plain(cell) for cell in cells]))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}:{row + 1}: damaged Parquet data ({one_line(error)}). Write the table again."
        ) from None


def _check_type(path: Path, setting: str, field: pa.Field) -> None:
    """Numbers of any kind where a number is wanted; ids and names are strings or whole numbers."""
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    text = any(is_text(kind) for is_text in _TEXT_TYPES)
    whole = pa.types.is_integer(kind)
    number = whole or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    is_label = setting.endswith((".label", ".binary"))
    is_number = is_label or setting.endswith(".term")
    fits = text or whole or (number and is_number) or (pa.types.is_boolean(kind) and is_label)
    if not (fits or pa.types.is_null(kind)):
        wanted = "numbers, booleans or strings" if is_label else "numbers or strings" if is_number else _IDS
        raise InputError(f"{path}: column {field.name!r} is {field.type}. {setting} must name one of {wanted}.")


_IDS = "strings or whole numbers (an empty cell makes whole numbers floats: write them as strings)"
_TEXT_TYPES = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_binary,
    pa.types.is_large_binary,
)


def _plain(cell: Any) -> Cell:
    """A cell of Parquet as text or a number."""
    if isinstance(cell, bytes):  # text written by a program that does not say so
        cell = cell.decode()
    if isinstance(cell, str):
        return cell.strip()
    return float(cell) if isinstance(cell, decimal.Decimal | np.floating) else cell
