"""What became of the records and how the pairs are split: the content of `summary.json`; see `counts` for counting."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from snw_dist.data.files.inputs import Table

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
