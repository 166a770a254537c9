"""Counting what became of the records and how the pairs are split, for `summary.json`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hpc.errors import InputError
from snw_dist.data.files.inputs import Table
from snw_dist.data.records.pairs import PairTable
from snw_dist.data.records.sequences import SequenceTable
from snw_dist.data.splits.clusters import Distinct
from snw_dist.data.summary import FileCounts, SplitCounts


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


def count_splits(
    pairs: PairTable, positive: NDArray[np.bool_], ligands: Distinct, receptors: Distinct
) -> dict[str, SplitCounts]:
    """The splits by name, and what they share with train; `positive`: [num_pairs]."""
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
