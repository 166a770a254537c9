"""The names in a table of which nobody has said what its columns are called, and all its cells by them.

Who knows the names reads with `table`, which finds the line that has them all. Here the line is found by the rows:
it stands above the first row, and a row is known by an id or a sequence of the input in it.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from hpc.errors import InputError
from snw_dist.data.files.cells import is_number, split_inequality
from snw_dist.data.files.columns import IsKnown
from snw_dist.data.files.header import DELIMITERS, cells_of, looks_like_data
from snw_dist.data.files.parquet import open_parquet
from snw_dist.data.files.table import MOST_HEADER_LINES, Cell, csv_lines, read_table

_ANSWERS = ("yes", "no", "true", "false")
"""Labels that are hardly ever the name of a column, as bound is."""
_SURELY = 20
"""Letters of a sequence that is no name of a column."""


def column_names(path: Path, is_known: IsKnown, is_sequence: IsKnown = lambda text: False) -> list[str]:
    """The names of the columns that can be read: those that stand there once and hold texts or numbers.

    `is_known` says of a text that it is an id or a sequence of the input, and `is_sequence` that it looks like one,
    which a name may do as well. Raises `InputError` for a table without a
    line of names or without a row with such a text, besides what `read_table` raises.
    """
    if path.name.lower().endswith(".parquet"):
        schema = open_parquet(path, None, InputError, "Write it again, or as CSV.").schema_arrow
        return [field.name for field in schema if not pa.types.is_nested(field.type) and not _is_time(field.type)]
    with contextlib.closing(csv_lines(path, 1)) as lines:
        first = [line for line in itertools.islice(lines, MOST_HEADER_LINES) if line.strip()]
    where = next((n for n, line in enumerate(first) if _is_row(line, is_known, is_sequence)), None)
    if where is None:
        raise InputError(
            f"{path}: no cell of its first {len(first):,} lines is an id of the FASTA files, nor a sequence. An id is "
            "the first word after >, and the table must have it, or the sequence, of each side."
        )
    row = first[where]
    delimiter = max(DELIMITERS, key=lambda one: sum(is_known(cell) or is_sequence(cell) for cell in cells_of(row, one)))
    size, before = len(cells_of(row, delimiter)), first[:where]
    # Rows of which no id is known may stand above it, so the first line of this size is taken, comments last.
    options = [line for line in before if not line.startswith("#")] + [line.removeprefix("#") for line in before[-1:]]
    of_size = (names for line in options if len(names := cells_of(line, delimiter)) == size)
    names = next((names for names in of_size if not looks_like_data(names, is_known)), [])
    if not names:
        raise InputError(
            f"{path}: the table seems to have no header line: nothing above the first row names its {size} columns. "
            "Put a line of names there, such as ligand_id,receptor_id,label."
        )
    count = Counter(names)
    return [name for name in names if name and count[name] == 1]


def all_cells(path: Path, names: Sequence[str]) -> Iterator[tuple[Cell, ...]]:
    """The cells of each row that can be read, in the order of `names`; raises as `read_table` does."""
    # As labels: a label may be a text or a number of any kind.
    for row in read_table(path, {f"column {number}.label": name for number, name in enumerate(names)}).rows:
        if not row.problem:
            yield row.cells


def _is_row(line: str, is_known: IsKnown, is_sequence: IsKnown) -> bool:
    """By an id; or by a sequence beside a number or a word that may be a label, as a name like PEPTIDE has none."""
    for cells in (cells_of(line, delimiter) for delimiter in DELIMITERS):
        if any(map(is_known, cells)):
            return True
        found = [cell for cell in cells if is_sequence(cell)] if not line.startswith("#") else []
        others = (is_number(split_inequality(cell)[1]) or cell.lower() in _ANSWERS for cell in cells)
        if found and (len(max(found, key=len)) >= _SURELY or any(others)):
            return True
    return False


def _is_time(kind: pa.DataType) -> bool:
    return bool(pa.types.is_temporal(kind))
