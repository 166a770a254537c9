"""Checking rules for pairs of a ligand and a receptor.

| in the table | rule |
|---|---|
| id that is not in the FASTA file, or whose sequence was rejected | row rejected, suggesting a similar id |
| label: number in [0, 1] or a word (`labels`) | accepted; empty, NaN, infinite, out of range: row rejected |
| binary column, when named | 0, 1 or a word; else `label >= positive_from` |
| split column, when named | 1-64 letters, digits, `.`, `_`, `-`; empty or anything else: row rejected |
| wrong number of cells | row rejected |
| same pair again, everything equal | kept once, the others counted as merged |
| same pair again, another label, binary label or split | all rows of the pair rejected, naming the lines |
| other columns | ignored, and listed in a note |
"""

from __future__ import annotations

import difflib
import re
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc.errors import InputError
from snw_dist.data.labels import parse_binary, parse_label
from snw_dist.data.rejects import Rejects, shorten
from snw_dist.data.sequences import SequenceTable
from snw_dist.data.table import read_table

MAX_SPLITS = 100
_MAX_SUGGESTIONS = 20
_MAX_CANDIDATES = 20_000
_SPLIT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class PairTable:
    """Usable pairs in file order, as columns of equal length."""

    ligand: NDArray[np.int64]
    """Position in the ligands' `SequenceTable.sequences`."""
    receptor: NDArray[np.int64]
    label: NDArray[np.float64]
    positive: NDArray[np.bool_]
    split: NDArray[np.int64]
    """Position in `split_names`; empty when there is no split column."""
    split_names: list[str]
    """All names of the column, also those without a usable pair."""
    read: int
    merged: int
    notes: list[str]


def read_pairs(
    path: Path,
    name: str,
    columns: Mapping[str, str],
    ligands: SequenceTable,
    receptors: SequenceTable,
    positive_from: float,
    rejects: Rejects,
) -> PairTable:
    """Read and check the pair table by the rules above; bad rows go to `rejects`, `name` is for the notes.

    `columns` maps `ligand`, `receptor`, `label` and, where wanted, `binary` and `split` to names.
    """
    table = read_table(path, {f"data.columns.{key}": column for key, column in columns.items()})
    place = {key: i for i, key in enumerate(columns)}
    binary_at, split_at = place.get("binary"), place.get("split")
    find_ligand = _Lookup("ligand", ligands, receptors)
    find_receptor = _Lookup("receptor", receptors, ligands)
    splits: dict[str, int] = {}
    lines, ligand_rows, receptor_rows, split_rows = array("q"), array("q"), array("q"), array("q")
    label_rows, positive_rows = array("d"), array("b")
    read = 0
    for line, cells, problem in table.rows:
        read += 1
        if problem:
            rejects.add("pairs", line, "", problem, "Correct the row; a cell with a delimiter must be quoted.")
            continue
        ligand, receptor = _as_text(cells[place["ligand"]]), _as_text(cells[place["receptor"]])
        value: Any = None
        split = -1
        try:
            if split_at is not None:
                value = _as_text(cells[split_at])
                split = _split_index(value, splits, path, line)
            ligand_index = find_ligand(ligand)
            receptor_index = find_receptor(receptor)
            value = cells[place["label"]]
            label = parse_label(value)
            positive = label >= positive_from
            if binary_at is not None:
                value = cells[binary_at]
                positive = parse_binary(value)
        except _UnknownIdError as unknown:
            rejects.add("pairs", line, f"{ligand}/{receptor}", unknown.reason, unknown.fix, unknown.value)
        except ValueError as error:
            fix = "Correct the cell or remove the row."
            rejects.add("pairs", line, f"{ligand}/{receptor}", str(error), fix, _as_text(value))
        else:
            lines.append(line)
            ligand_rows.append(ligand_index)
            receptor_rows.append(receptor_index)
            label_rows.append(label)
            positive_rows.append(positive)
            if split_at is not None:
                split_rows.append(split)
    if read == 0:
        raise InputError(f"{path}:1: the table has a header and no rows. Add one line for each pair.")
    pairs = PairTable(
        np.array(ligand_rows, np.int64),
        np.array(receptor_rows, np.int64),
        np.array(label_rows, np.float64),
        np.array(positive_rows, np.bool_),
        np.array(split_rows, np.int64),
        list(splits),
        read,
        0,
        [f"{name}: columns not used: {', '.join(map(shorten, table.other_columns))}."] if table.other_columns else [],
    )
    return _without_repeats(pairs, np.array(lines, np.int64), name, ligands, receptors, rejects)


class _UnknownIdError(Exception):
    """An id without a usable sequence."""

    def __init__(self, value: str, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.value, self.reason, self.fix = value, reason, fix


class _Lookup:
    """From an id to its position; explains what is wrong with an id that has none.

    Looking for the likeliest meant id is slow, so it is done for the first few and among a bounded number.
    """

    def __init__(self, kind: str, table: SequenceTable, other: SequenceTable) -> None:
        self.kind, self.table, self.other = kind, table, other
        self.index = {identifier: i for i, identifier in enumerate(table.sequences)}
        self.suggestions = 0

    def __call__(self, identifier: str) -> int:
        """The position of the id; raises `_UnknownIdError`."""
        found = self.index.get(identifier)
        if found is None:
            raise self.explain(identifier)
        return found

    def explain(self, identifier: str) -> _UnknownIdError:
        """Why there is no usable sequence of this id."""
        shown = shorten(identifier)
        if not identifier:
            return _UnknownIdError("", f"the {self.kind} id is empty", "Fill it in or remove the row.")
        if line := self.table.rejected_lines.get(identifier):
            reason = f"the sequence of {self.kind} {shown!r} was rejected (line {line} of data.{self.kind}s)"
            return _UnknownIdError(identifier, reason, "Correct that record.")
        reason = f"{self.kind} id {shown!r} is not in data.{self.kind}s"
        if identifier in self.other.sequences:
            fix = "The other FASTA file has it: are data.columns.ligand and data.columns.receptor swapped?"
            return _UnknownIdError(identifier, reason, fix)
        close = self.suggest(identifier)
        fix = f"Did you mean {shorten(close)!r}?" if close else "Add its sequence or remove the row."
        return _UnknownIdError(identifier, reason, fix)

    def suggest(self, identifier: str) -> str | None:
        """The most similar id among those that begin alike, or among all when they are few."""
        self.suggestions += 1
        if self.suggestions > _MAX_SUGGESTIONS:
            return None
        begin = identifier[:2].lower()
        all_ids = self.index if len(self.index) <= _MAX_CANDIDATES else ()
        alike = (i for i in self.index if i[:2].lower() == begin)
        close = difflib.get_close_matches(identifier, all_ids or list(islice(alike, _MAX_CANDIDATES)), n=1)
        return close[0] if close else None


def _as_text(cell: Any) -> str:
    return "" if cell is None else str(cell)


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


def _without_repeats(
    pairs: PairTable,
    lines: NDArray[np.int64],
    name: str,
    ligands: SequenceTable,
    receptors: SequenceTable,
    rejects: Rejects,
) -> PairTable:
    """Merge equal rows of the same pair and reject contradictory ones; sorting makes it n log n."""
    if len(lines) == 0:
        return pairs
    key = pairs.ligand * len(receptors.sequences) + pairs.receptor
    order = np.argsort(key, kind="stable")
    is_first = np.concatenate(([True], key[order][1:] != key[order][:-1]))
    group = np.cumsum(is_first) - 1
    first = order[is_first][group]
    columns = [pairs.label, pairs.positive] + ([pairs.split] if len(pairs.split) else [])
    differs = np.zeros(len(order), np.bool_)
    for column in columns:
        differs |= column[order] != column[first]
    contradictory = np.bincount(group, weights=differs) > 0
    bad = contradictory[group]
    rows_of: dict[int, list[int]] = {}
    for i in np.flatnonzero(bad):
        rows_of.setdefault(int(group[i]), []).append(int(order[i]))
    ligand_ids, receptor_ids = (list(t.sequences) if rows_of else [] for t in (ligands, receptors))
    for row, rows in sorted((row, group_rows) for group_rows in rows_of.values() for row in group_rows):
        identifier = f"{ligand_ids[int(pairs.ligand[row])]}/{receptor_ids[int(pairs.receptor[row])]}"
        reason, value = _contradiction(pairs, lines, row, rows)
        rejects.add("pairs", int(lines[row]), identifier, reason, "Keep the right row only.", value)
    kept = np.sort(order[is_first & ~bad])
    merged = int((~is_first & ~bad).sum())
    notes = [f"{name}: {merged:,} repeated rows (same pair, same labels) merged."] if merged else []
    return PairTable(
        pairs.ligand[kept],
        pairs.receptor[kept],
        pairs.label[kept],
        pairs.positive[kept],
        pairs.split[kept] if len(pairs.split) else pairs.split,
        pairs.split_names,
        pairs.read,
        merged,
        pairs.notes + notes,
    )


def _contradiction(pairs: PairTable, lines: NDArray[np.int64], row: int, rows: list[int]) -> tuple[str, str]:
    def values(i: int) -> dict[str, object]:
        split = {"split": pairs.split_names[pairs.split[i]]} if len(pairs.split) else {}
        return {"label": float(pairs.label[i]), "binary label": bool(pairs.positive[i]), **split}

    mine = values(row)
    for other in rows:
        for what, theirs in values(other).items():
            if theirs != mine[what]:
                return (
                    f"contradictory pair: {what} {mine[what]} here, {theirs} at line {lines[other]}",
                    str(mine[what]),
                )
    raise AssertionError("a contradictory group has two rows that differ")
