"""Checking rules for the rows of the pair table: what each cell may be.

| in the table | rule |
|---|---|
| id that is not in the FASTA file, or whose sequence was rejected | row rejected, suggesting a similar id |
| sequence in the table itself | see `in_table` |
| label: number in [0, 1] or a word (`labels`) | accepted; empty, NaN, infinite, out of range: row rejected |
| score | a finite number, an affinity also above 0; else row rejected |
| binary column, when named | 0, 1 or a word, else row rejected |
| split column, when named | 1-64 letters, digits, `.`, `_`, `-`; empty or anything else: row rejected |
| inequality column, when named | `<`, `<=`, `=`, `>=`, `>` or empty; else row rejected |
| affinity with an inequality in its cell, `>10000` | read as both, unless a column of inequalities says another |
| wrong number of cells, not a SCORE line, a tag that does not match | row rejected |
| other columns | ignored, and listed in a note |

What is done about repeated and contradictory rows is in `pairs` and `decoys`.
"""

from __future__ import annotations

import functools
import re
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc.errors import InputError
from hpc.told import did
from snw_dist.data.files.cells import (
    as_text,
    parse_affinity,
    parse_binary,
    parse_inequality,
    parse_label,
    parse_score,
    split_inequality,
)
from snw_dist.data.files.entries import Entries
from snw_dist.data.files.rejects import Rejects, shorten, shown_names
from snw_dist.data.records.ids import Lookup, UnknownIdError
from snw_dist.data.records.in_table import InTable

MAX_SPLITS = 100
_SPLIT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PARSERS: dict[str, Callable[[Any], float]] = {
    "label": parse_label,
    "score": parse_score,
}


@dataclass(frozen=True)
class Rows:
    """Usable rows in file order, as columns, each [num_rows]."""

    file: NDArray[np.int32]
    """Position in `files`."""
    line: NDArray[np.int64]
    ligand: NDArray[np.int64]
    """Position in the ligands' `SequenceTable.sequences`; likewise `receptor`."""
    receptor: NDArray[np.int64]
    value: NDArray[np.float64]
    """The label, score or affinity."""
    binary: NDArray[np.int8]
    """1 or 0; -1 where no such column is named."""
    split: NDArray[np.int64]
    """Position in `split_names`; -1 where no such column is named."""
    inequality: NDArray[np.int8]
    """The true affinity is -1 below, 1 above, 0 equal to the value."""
    decoy: NDArray[np.int64]
    """A digest of the name of the decoy; 0 where it has none."""
    files: list[Path]
    split_names: list[str]
    """All names of the column, also those without a usable row."""
    read: int
    notes: list[str]


class _Side:
    """What the cells of a row say of one side."""

    def __init__(self, kind: str, place: Mapping[str, int], found_by: Lookup | InTable) -> None:
        self.found_by, self._id, self._sequence = found_by, place.get(kind), place.get(f"{kind}_sequence")

    def position(self, cells: tuple[Any, ...]) -> int:
        """Of the sequence, in the `SequenceTable` of the side; raises `UnknownIdError` where there is none."""
        if isinstance(self.found_by, InTable):
            return self.found_by.position(*self._texts(cells))
        return self.found_by(self._texts(cells)[0] or "")

    def shown(self, cells: tuple[Any, ...]) -> str:
        """The id, for messages."""
        identifier, text = self._texts(cells)
        return self.found_by.shown(identifier, text) if isinstance(self.found_by, InTable) else identifier or ""

    def _texts(self, cells: tuple[Any, ...]) -> tuple[str | None, str]:
        identifier = None if self._id is None else as_text(cells[self._id])
        return identifier, "" if self._sequence is None else as_text(cells[self._sequence])


class _Cells:
    """What the cells of a row say, by the rules above."""

    def __init__(
        self, entries: Entries, kind: str, sides: tuple[Lookup | InTable, Lookup | InTable], unit: str
    ) -> None:
        place = {key: i for i, key in enumerate(entries.keys)}
        self._ligand, self._receptor = _Side("ligand", place, sides[0]), _Side("receptor", place, sides[1])
        self._value = place["label" if kind == "label" else "score"]
        self._at = {key: place.get(key) for key in ("binary", "split", "inequality", "decoy")}
        self._is_affinity, self._unit, self._table = kind == "affinity", unit, entries.files[0]
        self._parse = functools.partial(parse_affinity, unit=unit) if self._is_affinity else _PARSERS[kind]
        self.splits: dict[str, int] = {}
        self.num_inside = 0
        """Affinities with an inequality in the cell."""
        self.cell: Any = None
        """Read last: it is what is wrong where `read` raises."""

    def pair(self, cells: tuple[Any, ...]) -> str:
        """The ids of ligand and receptor, for messages."""
        return f"{self._ligand.shown(cells)}/{self._receptor.shown(cells)}"

    def read(self, line: int, cells: tuple[Any, ...]) -> tuple[int, int, float, int, int, int, int]:
        """The columns of `Rows` from `ligand` to `decoy`; raises `UnknownIdError` and `ValueError` for a bad row."""
        binary, split, inequality, decoy = -1, -1, 0, 0
        self.cell = None
        if (at := self._at["split"]) is not None:
            self.cell = as_text(cells[at])
            split = _split_index(self.cell, self.splits, self._table, line)
        ligand, receptor = self._ligand.position(cells), self._receptor.position(cells)
        self.cell = cells[self._value]
        own, number = split_inequality(self.cell) if self._is_affinity else (None, self.cell)
        value = self._parse(number)
        if (at := self._at["binary"]) is not None:
            self.cell = cells[at]
            binary = parse_binary(self.cell)
        if (at := self._at["inequality"]) is not None:
            self.cell = cells[at]
            inequality = parse_inequality(self.cell)
        if own is not None:
            inequality = _agreed(own, inequality, cells, self._value, self._at["inequality"])
            self.num_inside += 1
        if self._unit == "pK":  # a pK above 5 is an affinity below 10,000 nM
            inequality = -inequality
        if (at := self._at["decoy"]) is not None:
            decoy = _digest(as_text(cells[at]))
        return ligand, receptor, value, binary, split, inequality, decoy

    def notes(self, name: str) -> list[str]:
        """Sentences about how the cells were read."""
        inside = f"{name}: {self.num_inside:,} affinities have an inequality in the cell, as '>10000' has: it is read."
        sides = dict.fromkeys((self._ligand.found_by, self._receptor.found_by))
        found = [side.note(name) for side in sides if isinstance(side, Lookup)]
        turned = ", of which < is >, and > is <" if self._unit == "pK" else ""
        unit = f"{name}: affinities are given in {self._unit}, and kept as nM{turned}."
        notes = [*([unit] if self._unit != "nM" else []), *([inside] if self.num_inside else [])]
        return [*notes, *(note for note in found if note)]


def read_rows(
    entries: Entries,
    kind: str,
    name: str,
    sides: tuple[Lookup | InTable, Lookup | InTable],
    rejects: Rejects,
    unit: str = "nM",
) -> Rows:
    """Read and check all rows by the rules above; bad ones go to `rejects`, `name` is for the notes.

    `kind` says what the value is: label, score or affinity, which is in `unit`; `sides` find ligand and receptor.
    Raises `InputError` for a table without rows and for more than `MAX_SPLITS` splits.
    """
    parser = _Cells(entries, kind, sides, unit)
    columns: list[array[Any]] = [array(code) for code in "iqqqdbqbq"]
    read = 0
    for file, line, cells, problem, fix in entries.rows:
        read += 1
        did("rows")
        where = entries.files[file] if file else None
        if problem:
            rejects.add("pairs", line, "", problem, fix, file=where)
            continue
        try:
            row = (file, line, *parser.read(line, cells))
        except UnknownIdError as unknown:
            rejects.add("pairs", line, parser.pair(cells), unknown.reason, unknown.fix, unknown.value, where)
        except ValueError as error:
            fix, value = "Correct the cell or remove the row.", as_text(parser.cell)
            rejects.add("pairs", line, parser.pair(cells), str(error), fix, value, where)
        else:
            for column, item in zip(columns, row, strict=True):
                column.append(item)
    if read == 0:
        raise InputError(f"{entries.files[0]}:1: the table has a header and no rows. Add one line for each pair.")
    notes = [f"{name}: {note}." for note in entries.notes]
    if others := entries.other_columns:
        notes.append(f"{name}: columns not used: {shown_names(others)}.")
    notes += parser.notes(name)
    c = [np.array(column) for column in columns]
    return Rows(c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7], c[8], entries.files, list(parser.splits), read, notes)


def _agreed(own: int, column: int, cells: tuple[Any, ...], value_at: int, column_at: int | None) -> int:
    """The inequality of the cell of the value; raises `ValueError` where the column has another one."""
    if column_at is not None and cells[column_at] not in (None, "") and column != own:
        raise ValueError(f"the value {cells[value_at]!r} and the inequality {cells[column_at]!r} contradict each other")
    return own


def _digest(name: str) -> int:
    if not name:
        raise ValueError("the name of the decoy is empty")
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little", signed=True)


def _split_index(name: str, splits: dict[str, int], path: Path, line: int) -> int:
    if (index := splits.get(name)) is not None:
        return index
    if not name:
        raise ValueError("the split is empty")
    if not _SPLIT_NAME.fullmatch(name):
        raise ValueError(f"the split name {shorten(name)!r} has other characters than letters, digits, '.', '_', '-'")
    if len(splits) == MAX_SPLITS:
        raise InputError(f"{path}:{line}: more than {MAX_SPLITS} different splits. Is data.columns.split right?")
    return splits.setdefault(name, len(splits))
