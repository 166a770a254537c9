"""What is wrong with a set of pairs although every single record of it is right.

Sequences are compared, not ids. Each finding says how many, shows examples, and says what it does to a metric. Loading
this module takes seconds (scipy.stats), so only what audits imports it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpc.disk.files import atomic_write_json
from hpc.disk.storage import told_where
from snw_dist.data.audit.findings import EFFECTS, AuditPairs, AuditSide, Finding
from snw_dist.data.audit.repeats import repeats
from snw_dist.data.audit.shift import shifts
from snw_dist.data.audit.sides import (
    Labelled,
    degree_bias,
    degree_turned_round,
    identical_sequences,
    only_negative,
    overlap,
)
from snw_dist.data.checked import Checked

AUDIT = "audit.json"


def audit(checked: Checked, apart: Collection[str]) -> list[Finding]:
    """All findings, in a fixed order; none for a clean set.

    Rows as they were read are looked through for repeats, and pairs as a network sees them for shortcuts and leaks.
    `apart` names the sides (ligands, receptors) whose sequences should not be in two splits.
    """
    pairs, read = checked.pairs, checked.rows
    no_line = np.zeros(len(pairs), np.int64)
    seen = AuditPairs(no_line, pairs.ligand, pairs.receptor, pairs.label, checked.positive, pairs.split)
    rows = seen
    if pairs.scores is None:  # else rows of one pair are decoys, and in order
        bound = np.where(read.binary >= 0, read.binary == 1, read.value >= checked.positive_from)
        rows = AuditPairs(read.line, read.ligand, read.receptor, read.value, bound, read.split)
    ligands = AuditSide("ligands", list(checked.ligands.sequences), checked.distinct[0])
    receptors = AuditSide("receptors", list(checked.receptors.sequences), checked.distinct[1])
    return [*repeats(rows, ligands, receptors), *_of_pairs(seen, ligands, receptors, pairs.split_names, apart)]


def write_findings(findings: Sequence[Finding], folder: Path) -> Path:
    """Write `audit.json`, which also names all that was looked for, and return its path."""
    report = {"findings": [dataclasses.asdict(finding) for finding in findings], "looked_for": list(EFFECTS)}
    with told_where(folder):
        folder.mkdir(parents=True, exist_ok=True)
        atomic_write_json(folder / AUDIT, report)
    return folder / AUDIT


class _Counted(NamedTuple):
    """A side, and what stands on it: the distinct sequence, the label and the split of each pair."""

    side: AuditSide
    code: NDArray[np.int64]
    positive: NDArray[np.bool_]
    split: NDArray[np.int64]


def _sides(pairs: AuditPairs, ligands: AuditSide, receptors: AuditSide) -> list[_Counted]:
    """Both sides; where they are one set, that alone, each pair once for either end (a pair of one sequence once)."""
    codes = ligands.distinct.code[pairs.ligand], receptors.distinct.code[pairs.receptor]
    if ligands.distinct is not receptors.distinct:
        sides = zip((ligands, receptors), codes, strict=True)
        return [_Counted(side, code, pairs.positive, pairs.split) for side, code in sides]
    two = np.flatnonzero(codes[0] != codes[1])
    row, code = np.concatenate([np.arange(len(codes[0])), two]), np.concatenate([codes[0], codes[1][two]])
    return [_Counted(ligands._replace(name="proteins", ends=2), code, pairs.positive[row], pairs.split[row])]


def _of_pairs(
    pairs: AuditPairs, ligands: AuditSide, receptors: AuditSide, split_names: list[str], apart: Collection[str]
) -> Iterator[Finding]:
    train_number = split_names.index("train")
    held_out = {name: i for i, name in enumerate(split_names) if name != "train"}
    sides = _sides(pairs, ligands, receptors)
    for side, code, positive, split in sides:
        train = split == train_number
        yield from identical_sequences(side)
        yield from only_negative(side, code, positive, {name: split == i for i, name in enumerate(split_names)})
        yield from degree_bias(side, code[train], positive[train])
    for side, code, positive, split in sides:
        train = split == train_number
        for name, number in held_out.items():
            rows = split == number
            if side.name in apart or (len(sides) == 1 and apart):
                yield from overlap(side, f"{name} in train", np.unique(code[rows]), np.unique(code[train]))
            seen, unseen = (Labelled(code[chosen], positive[chosen]) for chosen in (train, rows))
            yield from degree_turned_round(side, f"{name} against train", seen, unseen)
            yield from shifts(side, f"{name} against train", code[rows], code[train])
        yield from shifts(side, "positive against negative pairs", code[positive], code[~positive])
