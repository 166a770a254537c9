"""What became of the records and how the pairs are split: the content of `summary.json`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc.errors import InputError
from snw_dist.data.files.rejects import Table
from snw_dist.data.records.pairs import PairTable
from snw_dist.data.records.sequences import SequenceTable
from snw_dist.data.splits.clusters import Distinct

MIN_OF_EACH = 10
"""Fewest positive and negative pairs of a split that a verdict is given on."""


@dataclass(frozen=True)
class FileCounts:
    """What became of the records of one input file."""

    read: int
    kept: int
    """Of pairs, those that were dropped afterwards included."""
    merged: int
    """Repeats of a record that is kept; of decoys, all but the first of a pair."""
    rejected: int


@dataclass(frozen=True)
class SplitCounts:
    """One split of the kept pairs."""

    pairs: int
    positives: int
    ligands: int
    """Distinct ligand ids; likewise `receptors`. With `data.symmetric` both are the proteins of either side."""
    receptors: int
    ligands_in_train: int
    """Distinct ligand sequences of this split that train pairs have too; likewise `receptors_in_train`."""
    receptors_in_train: int


@dataclass(frozen=True)
class PrepareSummary:
    """The content of `summary.json`."""

    counts: dict[Table, FileCounts]
    splits: dict[str, SplitCounts]
    """In the order train, val, then by name."""
    dropped: dict[str, int]
    """Usable pairs that are left out, by reason; they are listed in `dropped.parquet`."""
    notes: list[str]
    made_from: dict[str, Any]
    given: dict[str, Any]
    """Data settings from the command line of `prepare`: they hold for this folder until `prepare` is called again."""
    files: dict[str, str]
    """SHA-256 of the other files of the folder."""

    def to_json(self) -> str:
        """The text of `summary.json`."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"


def count_files(
    ligands: SequenceTable, receptors: SequenceTable, read: int, pairs: PairTable, rejected: Mapping[str, int]
) -> dict[Table, FileCounts]:
    """Records in are records out: read = kept + merged + rejected."""
    counts: dict[Table, FileCounts] = {
        "ligands": FileCounts(ligands.read, len(ligands.sequences), ligands.merged, rejected["ligands"]),
        "receptors": FileCounts(receptors.read, len(receptors.sequences), receptors.merged, rejected["receptors"]),
        "pairs": FileCounts(read, len(pairs), pairs.merged, rejected["pairs"]),
    }
    for table, count in counts.items():
        assert count.read == count.kept + count.merged + count.rejected, (table, count)
    return counts


def too_few(num_pairs: int, num_positive: int) -> str | None:
    """Why pairs are too few to say which of two sets of scores is better; None where they are enough.

    With n positives and n negatives an AUROC at chance has a standard error of .41 / sqrt(n): .13 with 10, .29 with 2,
    where one order in six is perfect. The bootstrap does not know that: it draws from the pairs that are there.
    """
    num_negative = num_pairs - num_positive
    one_class = 0 in (num_positive, num_negative)  # measured by rank correlation
    if num_pairs >= 2 * MIN_OF_EACH if one_class else min(num_positive, num_negative) >= MIN_OF_EACH:
        return None
    needed = f"{2 * MIN_OF_EACH} pairs" if one_class else f"{MIN_OF_EACH} positive and {MIN_OF_EACH} negative ones"
    return f"it has {num_positive:,} positive and {num_negative:,} negative pairs, and needs at least {needed}"


def small_splits(splits: Mapping[str, SplitCounts]) -> list[str]:
    """A warning for each split that is too small for what it is there for."""
    lines = []
    for name, split in splits.items():
        why = too_few(split.pairs, split.positives)
        if name != "train" and why is not None:
            what = "threshold and calibration are chosen by chance" if name == "val" else "no verdict will be given"
            lines.append(f"Split {name} is too small: {what}, as {why}.")
    return lines


def count_splits(
    pairs: PairTable, positive: NDArray[np.bool_], ligands: Distinct, receptors: Distinct
) -> dict[str, SplitCounts]:
    """The splits by name, and what they share with train."""
    columns = [pairs.ligand, pairs.receptor]
    split = pairs.split
    if ligands is receptors:  # one set: a sequence counts whichever side it stands on
        columns, split = [np.concatenate(columns)] * 2, np.tile(split, 2)
    codes = [ligands.code[columns[0]], receptors.code[columns[1]]]
    train = pairs.split_names.index("train") if "train" in pairs.split_names else -1
    of_train = [np.unique(code[split == train]) for code in codes]
    counts = {}
    for name in sorted(pairs.split_names, key=lambda n: (n != "train", n != "val", n)):
        rows = pairs.split == pairs.split_names.index(name)
        ends = split == pairs.split_names.index(name)
        shared = [np.isin(np.unique(code[ends]), known).sum() for code, known in zip(codes, of_train, strict=True)]
        counts[name] = SplitCounts(
            int(rows.sum()),
            int(positive[rows].sum()),
            len(np.unique(columns[0][ends])),
            len(np.unique(columns[1][ends])),
            int(shared[0]),
            int(shared[1]),
        )
    return counts


def check_splits(splits: Mapping[str, SplitCounts], where: str) -> None:
    """Raise `InputError` when the splits cannot be trained on and evaluated."""
    for name, split in splits.items():
        if not split.pairs:
            raise InputError(f"{where}: all pairs of split {name!r} were rejected. Correct them or remove the split.")
    train = splits["train"]
    if train.positives in (0, train.pairs):
        what = "no positive" if train.positives == 0 else "only positive"
        raise InputError(
            f"{where}: the train split has {what} pairs among {train.pairs:,}, so nothing can be learned. "
            "Check data.columns.label (or data.scores), data.columns.binary and data.positive_from."
        )
