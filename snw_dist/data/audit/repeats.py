"""Rows that repeat or contradict each other, or pair a sequence with itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from snw_dist.data.audit.findings import MAX_EXAMPLES, AuditPairs, AuditSide, Finding, finding
from snw_dist.data.records.repeats import Column, group_rows


def repeats(rows: AuditPairs, ligands: AuditSide, receptors: AuditSide) -> Iterator[Finding]:
    """Duplicates (all but the first row of a pair), swapped duplicates, contradictory labels (all rows), self pairs."""
    ligand, receptor = ligands.distinct.code[rows.ligand], receptors.distinct.code[rows.receptor]
    width = max(len(receptors.distinct.sequences), 1)
    key = ligand * width + receptor
    grouped, _ = group_rows(key, [Column("label", rows.label, float), Column("binary", rows.positive, bool)])
    as_receptor = _positions(ligands.distinct.sequences, receptors.distinct.sequences)[ligand]
    as_ligand = _positions(receptors.distinct.sequences, ligands.distinct.sequences)[receptor]
    own = as_receptor == receptor
    mirrored = (as_receptor >= 0) & (as_ligand >= 0) & ~own
    mirrored &= np.isin(np.where(mirrored, as_ligand * width + as_receptor, -1), key)
    found = {
        "duplicate_pairs": ~grouped.first & ~grouped.bad,
        "swapped_pairs": mirrored,
        "contradictory_labels": grouped.bad,
        "self_pairs": own,
    }
    for kind, mask in found.items():
        if mask.any():
            shown = np.flatnonzero(mask)[:MAX_EXAMPLES].tolist()
            examples = [_example(rows, row, ligands, receptors) for row in shown]
            yield finding(kind, "pairs", mask.sum(), len(mask), examples)


def _positions(sequences: Sequence[str], among: Sequence[str]) -> NDArray[np.int64]:
    """Where each sequence is among the others; -1 where it is not."""
    position = {sequence: i for i, sequence in enumerate(among)}
    return np.array([position.get(sequence, -1) for sequence in sequences], np.int64)


def _example(rows: AuditPairs, row: int, ligands: AuditSide, receptors: AuditSide) -> str:
    name = f"{ligands.ids[int(rows.ligand[row])]}/{receptors.ids[int(rows.receptor[row])]}"
    return f"{name} (line {rows.line[row]})" if rows.line[row] else name
