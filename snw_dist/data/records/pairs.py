"""Pairs of a ligand and a receptor, each once.

| rows of the same pair | rule |
|---|---|
| everything equal | kept once, the others counted as merged |
| another label (affinity), binary label, split or inequality | all rejected, naming the lines |

Decoys of a pair differ in their scores; see `decoys`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snw_dist.data.files.rejects import Rejects
from snw_dist.data.records.repeats import Column, group_rows, reject_groups
from snw_dist.data.records.rows import Rows
from snw_dist.data.records.sequences import SequenceTable


@dataclass(frozen=True)
class ScoreTable:
    """What the labels of the pairs come from, as columns, each [num_pairs]."""

    score: NDArray[np.float64]
    """Aggregated over the decoys of a pair."""
    spread: NDArray[np.float64]
    """Standard deviation of the decoys that decide it; NaN where there is one only."""
    decoys: NDArray[np.int64]
    """How many there are."""
    inequality: NDArray[np.int8]
    """The true score is -1 below, 1 above, 0 equal to `score`."""

    def take(self, rows: NDArray[np.int64]) -> ScoreTable:
        """The rows with the given numbers [n]."""
        return ScoreTable(self.score[rows], self.spread[rows], self.decoys[rows], self.inequality[rows])


@dataclass(frozen=True)
class PairTable:
    """Usable pairs, as columns, each [num_pairs]."""

    ligand: NDArray[np.int64]
    """Position in the ligands' `SequenceTable.sequences`; likewise `receptor`."""
    receptor: NDArray[np.int64]
    label: NDArray[np.float64]
    """NaN while only the score is known."""
    binary: NDArray[np.int8]
    """1 bound, 0 not bound, -1 decided by the label."""
    split: NDArray[np.int64]
    """Position in `split_names`; -1 while there is none."""
    weight: NDArray[np.float64]
    split_names: list[str]
    scores: ScoreTable | None
    merged: int
    notes: list[str]

    def __len__(self) -> int:
        return len(self.ligand)

    def take(self, rows: NDArray[np.int64]) -> PairTable:
        """The pairs with the given numbers [n]."""
        columns = ("ligand", "receptor", "label", "binary", "split", "weight")
        taken = {name: getattr(self, name)[rows] for name in columns}
        return dataclasses.replace(self, **taken, scores=None if self.scores is None else self.scores.take(rows))

    def with_negatives(self, ligand: NDArray[np.int64], receptor: NDArray[np.int64]) -> PairTable:
        """The same, followed by a negative pair for each, of these ligands and receptors [num_pairs]."""
        size = len(self)
        return dataclasses.replace(
            self,
            ligand=np.concatenate([self.ligand, ligand]),
            receptor=np.concatenate([self.receptor, receptor]),
            label=np.concatenate([self.label, np.zeros(size)]),
            binary=np.concatenate([self.binary, np.zeros(size, np.int8)]),
            split=np.tile(self.split, 2),
            weight=np.concatenate([self.weight, np.ones(size)]),
        )

    def with_notes(self, *notes: str) -> PairTable:
        """The same with further notes."""
        return dataclasses.replace(self, notes=[*self.notes, *notes])


def pairs_of_rows(
    rows: Rows, kind: str, name: str, ligands: SequenceTable, receptors: SequenceTable, rejects: Rejects
) -> PairTable:
    """One pair for all rows that are equal; contradictory ones go to `rejects`.

    `kind` is label or affinity; `name` is for the notes.
    """
    columns = [
        Column(kind, rows.value, float),
        *same_for_a_pair(rows),
        Column("inequality", rows.inequality, "=><".__getitem__),
    ]
    grouped, group = group_rows(pair_key(rows, receptors), columns)
    fix = "Keep the right row only."
    names = pair_names(rows, ligands, receptors)
    reject_groups(rows, "contradictory pair", grouped.bad, group, columns, names, fix, rejects)
    kept = np.flatnonzero(grouped.first & ~grouped.bad)
    merged = int((~grouped.first & ~grouped.bad).sum())
    notes = [f"{name}: {merged:,} repeated rows (same pair, same labels) merged."] if merged else []
    none = np.full(len(kept), np.nan)
    affinity = kind != "label"
    scores = (
        ScoreTable(rows.value[kept], none, np.ones(len(kept), np.int64), rows.inequality[kept]) if affinity else None
    )
    return PairTable(
        rows.ligand[kept],
        rows.receptor[kept],
        none if affinity else rows.value[kept],
        rows.binary[kept],
        rows.split[kept],
        np.ones(len(kept)),
        rows.split_names,
        scores,
        merged,
        [*rows.notes, *notes],
    )


def pair_key(rows: Rows, receptors: SequenceTable) -> NDArray[np.int64]:
    """[num_rows]: a number for each row that is equal for equal pairs only."""
    return rows.ligand * max(len(receptors.sequences), 1) + rows.receptor


def pair_names(rows: Rows, ligands: SequenceTable, receptors: SequenceTable) -> Callable[[int], str]:
    """From a row to `ligand/receptor`, for messages."""
    ids: list[Sequence[str]] = []

    def name_of(row: int) -> str:
        if not ids:  # only when there is something to tell
            ids.extend([list(ligands.sequences), list(receptors.sequences)])
        return f"{ids[0][rows.ligand[row]]}/{ids[1][rows.receptor[row]]}"

    return name_of


def same_for_a_pair(rows: Rows) -> list[Column]:
    """What rows of one pair must agree on whatever their values are."""
    names = [*rows.split_names, "none"]
    return [Column("binary label", rows.binary, bool), Column("split", rows.split, names.__getitem__)]
