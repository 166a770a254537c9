"""The inputs between reading and writing, and what is done to them on the way."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc.errors import InputError
from snw_dist.data.files.inputs import InputFiles, Table
from snw_dist.data.files.rejects import Rejects
from snw_dist.data.records.pairs import PairTable
from snw_dist.data.records.rows import Rows
from snw_dist.data.records.sequences import SequenceTable
from snw_dist.data.scores.labelling import positives, undetermined
from snw_dist.data.scores.transform import LabelTransform
from snw_dist.data.splits.assign import shuffled
from snw_dist.data.splits.clusters import Distinct
from snw_dist.data.splits.negatives import deal_again
from snw_dist.data.splits.split import APART, NO_SPLIT, Parts, split_pairs
from snw_dist.data.summary import FileCounts
from snw_dist.data.symmetric import pairs_in_order


@dataclass(frozen=True)
class Checked:
    """The checked inputs, of which nothing is written yet."""

    inputs: InputFiles
    ligands: SequenceTable
    receptors: SequenceTable
    distinct: tuple[Distinct, Distinct]
    """Of ligands and of receptors."""
    rows: Rows
    """As read, repeated and contradictory ones included."""
    pairs: PairTable
    """Each once; with splits, labels, weights and, where wanted, negatives as far as they are made."""
    positive_from: float
    rejects: Rejects
    counts: dict[Table, FileCounts]
    origin: dict[str, Any]
    """What it is all made from."""
    dropped: dict[str, PairTable] = field(default_factory=dict)
    """Pairs that are left out, by the reason."""
    transform: LabelTransform | None = None

    @property
    def symmetric(self) -> bool:
        """Both sides are one set of sequences."""
        return self.distinct[0] is self.distinct[1]

    @property
    def positive(self) -> NDArray[np.bool_]:
        """[num_pairs]: bound or not."""
        return positives(self.pairs, self.positive_from)

    @property
    def read(self) -> dict[Table, int]:
        """Records of each input file."""
        return {table: count.read for table, count in self.counts.items()}

    def without_undetermined(self) -> Checked:
        """Without pairs whose inequality leaves open whether they bind."""
        return self._without(undetermined(self.pairs, self.positive_from), "undetermined")

    def with_split(self, method: str, parts: Parts, seed: int) -> Checked:
        """With a split that is made, and without the pairs that it cannot use."""
        pairs = self.pairs
        split = split_pairs(method, *self.distinct, pairs.ligand, pairs.receptor, parts, seed)
        sides = dict(zip(("ligands", "receptors"), self.distinct, strict=True))
        if self.symmetric:
            sides = {"proteins": self.distinct[0]} if APART[method] else {}
        clusters = [
            f"{name}: {side.note()}." for name, side in sides.items() if self.symmetric or name in APART[method]
        ]
        pairs = dataclasses.replace(pairs, split=split, split_names=parts.names)
        pairs = pairs.with_notes(f"Split {method}, seed {seed}.", *clusters)
        return dataclasses.replace(self, pairs=pairs)._without(split == NO_SPLIT, "across_splits")

    def with_negatives(self, seed: int, where: str) -> Checked:
        """With a negative pair for each positive one; raises `InputError` where there are negatives already."""
        pairs, num_negative = self.pairs, int((~self.positive).sum())
        if num_negative:
            raise InputError(
                f'{where}: {num_negative:,} of {len(pairs):,} pairs are negative, but data.negatives = "derangement" '
                'makes its own. Remove them, or set data.negatives = "given".'
            )
        ids = [list(table.sequences) for table in (self.ligands, self.receptors)]
        both = zip(pairs.ligand.tolist(), pairs.receptor.tolist(), strict=True)
        order = np.argsort(shuffled([f"{ids[0][ligand]}/{ids[1][receptor]}" for ligand, receptor in both], seed))
        dealt = deal_again(*self.distinct, pairs, order, seed)
        who = "proteins dealt to other" if self.symmetric else "ligands dealt to other receptor"
        note = f"{len(pairs):,} negatives made, seed {seed}: {who} families of their split."
        pairs = pairs.with_negatives(*dealt).with_notes(note)
        return dataclasses.replace(
            self, pairs=pairs_in_order(pairs, self.ligands.sequences) if self.symmetric else pairs
        )

    @property
    def notes(self) -> list[str]:
        """What there is to tell about the inputs."""
        return [*self.ligands.notes, *self.receptors.notes, *self.pairs.notes, *self._unused()]

    def _without(self, lost: NDArray[np.bool_], reason: str) -> Checked:
        if not lost.any():
            return self
        pairs = self.pairs.with_notes(f"{int(lost.sum()):,} of {len(lost):,} pairs dropped: {reason}.")
        dropped = {**self.dropped, reason: pairs.take(np.flatnonzero(lost))}
        return dataclasses.replace(self, pairs=pairs.take(np.flatnonzero(~lost)), dropped=dropped)

    def _unused(self) -> list[str]:
        """A note for each file with sequences that are in no pair; they are kept, and embedded, all the same."""
        used: dict[Table, tuple[SequenceTable, NDArray[np.int64]]] = {
            "ligands": (self.ligands, self.pairs.ligand),
            "receptors": (self.receptors, self.pairs.receptor),
        }
        if self.symmetric:
            index = np.concatenate([self.pairs.ligand, self.pairs.receptor])
            num_unused = len(self.ligands.sequences) - len(np.unique(index))
            return [f"{num_unused:,} proteins are in no pair (kept)."] if num_unused else []
        notes = []
        for table, (sequences, index) in used.items():
            num_unused = len(sequences.sequences) - len(np.unique(index))
            if num_unused:
                name = self.inputs.names.get(table, self.inputs.names["pairs"])
                notes.append(f"{name}: {num_unused:,} {table} are in no pair (kept).")
        return notes
