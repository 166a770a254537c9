"""Pairs of two proteins whose sides mean nothing (`data.symmetric`).

The two FASTA files are then one set of sequences, and each pair stands in one fixed order of its sides, whichever the
table has: (A, B) and (B, A) become the same row. What counts, splits or compares pairs later needs no case of its own
for swapped ones, and a table whose sides are swapped gives the same bytes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpc.errors import InputError
from snw_dist.data.files.fasta import read_fasta
from snw_dist.data.files.rejects import shorten
from snw_dist.data.records.pairs import PairTable
from snw_dist.data.records.rows import Rows
from snw_dist.data.records.sequences import SequenceTable
from snw_dist.data.trained import sequence_keys

ONE_FILE = "receptors: the same file as the ligands, read once (data.symmetric)."


def same_file(paths: tuple[Path, Path]) -> bool:
    """Whether both sides come from one file."""
    return paths[0].samefile(paths[1])


def nothing_more(table: SequenceTable) -> SequenceTable:
    """What the second side adds where both are one file, whose rejected ids it knows too."""
    return SequenceTable({}, 0, 0, table.rejected_lines, [ONE_FILE])


def without_known(known: SequenceTable, table: SequenceTable, paths: tuple[Path, Path]) -> SequenceTable:
    """`table` without what `known` has already, which counts as merged.

    Raises `InputError` for an id that stands for two sequences: nobody can tell which one a pair means.
    """
    for name, sequence in table.sequences.items():
        if known.sequences.get(name, sequence) != sequence:
            places = " and ".join(f"{path}:{_line_of(name, path)}" for path in paths)
            raise InputError(
                f"{places}: {shorten(name)}: same id, another sequence. With data.symmetric both files are one set: "
                "rename one of the two, or correct its sequence."
            )
    new = {name: sequence for name, sequence in table.sequences.items() if name not in known.sequences}
    return dataclasses.replace(table, sequences=new, merged=table.merged + len(table.sequences) - len(new))


def both_sides(ligands: SequenceTable, receptors: SequenceTable) -> tuple[SequenceTable, SequenceTable]:
    """The same sequences, those of both files, for each side."""
    union = ligands.sequences | receptors.sequences
    return dataclasses.replace(ligands, sequences=union), dataclasses.replace(receptors, sequences=union)


def rows_in_order(rows: Rows, sequences: Mapping[str, str], name: str) -> Rows:
    """The rows, each in the fixed order of its sides; how many that turns round goes to the notes."""
    ligand, receptor = _in_order(rows.ligand, rows.receptor, sequences)
    num_turned = int((ligand != rows.ligand).sum())
    note = f"{name}: {num_turned:,} of {len(ligand):,} rows are turned round: each pair has one order (data.symmetric)."
    notes = [*rows.notes, note] if num_turned else rows.notes
    return dataclasses.replace(rows, ligand=ligand, receptor=receptor, notes=notes)


def pairs_in_order(pairs: PairTable, sequences: Mapping[str, str]) -> PairTable:
    """The pairs, each in the fixed order of its sides."""
    ligand, receptor = _in_order(pairs.ligand, pairs.receptor, sequences)
    return dataclasses.replace(pairs, ligand=ligand, receptor=receptor)


def _in_order(
    ligand: NDArray[np.int64], receptor: NDArray[np.int64], sequences: Mapping[str, str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """By a digest of the sequence, so that a side has no more A or long ones than the other; equal ones by their id."""
    keys, ids = sequence_keys(sequences.values()).tolist(), list(sequences)
    rank = np.empty(len(ids), np.int64)
    rank[sorted(range(len(ids)), key=lambda i: (keys[i], ids[i]))] = np.arange(len(ids))
    turned = rank[ligand] > rank[receptor]
    return np.where(turned, receptor, ligand), np.where(turned, ligand, receptor)


def _line_of(name: str, path: Path) -> int:
    return next((record.line for record in read_fasta(path) if record.id == name), 1)
