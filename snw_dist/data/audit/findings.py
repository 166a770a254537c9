"""What the audit reports, and what each kind of finding does to a metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from snw_dist.data.splits.clusters import Distinct

MAX_EXAMPLES = 5
EFFECTS = {
    "duplicate_pairs": "One result counts several times, and is trained and tested on where the splits differ.",
    "swapped_pairs": "One complex counts twice, and a symmetric network that has seen one of the two has seen both.",
    "contradictory_labels": "No model can be right about all of these rows: every metric stays below its best value.",
    "self_pairs": "Telling whether two sequences are equal is enough to score these pairs.",
    "only_negative": "Knowing these sequences is enough to score their pairs: metrics rise without any binding.",
    "degree_bias": "A model that never looks at the partner gets this far, and metrics rise by as much.",
    "identical_sequences": "Held apart by id they are the same still: a held-out pair may be in train by another id.",
    "sequence_overlap": "The metric of this split is about sequences that were trained on, not about new ones.",
    "cluster_overlap": "Relatives were trained on: the metric of this split is higher than that of a new family.",
    "length_shift": "Where labels differ in it, length alone scores pairs; where splits do, metrics differ.",
    "composition_shift": "Where labels differ in it, counting residues scores pairs; where splits do, metrics differ.",
}
"""From each kind to its effect; these are all things that are looked for."""


@dataclass(frozen=True)
class Finding:
    """One defect of the set."""

    kind: str
    where: str
    """The side, and the groups compared if there are any."""
    count: int
    total: int
    examples: list[str]
    effect: str


class AuditSide(NamedTuple):
    """The ids of one side and their sequences."""

    name: str
    """ligands or receptors; proteins where both are one set."""
    ids: Sequence[str]
    distinct: Distinct
    ends: int = 1
    """How often a pair is counted: twice where a sequence counts whichever end of it it is."""

    def example(self, sequence: int) -> str:
        """The first id of a distinct sequence."""
        return self.ids[int(np.argmax(self.distinct.code == sequence))]


class AuditPairs(NamedTuple):
    """Pairs as columns, each [num_pairs]."""

    line: NDArray[np.int64]
    """Where each stands in the pair table; 0 where it has no line of its own."""
    ligand: NDArray[np.int64]
    """Position of the id; likewise `receptor`."""
    receptor: NDArray[np.int64]
    label: NDArray[np.float64]
    positive: NDArray[np.bool_]
    split: NDArray[np.int64]


def finding(kind: str, where: str, count: int, total: int, examples: list[str], more: str = "") -> Finding:
    """A finding with the effect of its kind, and what is `more` to say."""
    return Finding(kind, where, int(count), int(total), examples, f"{EFFECTS[kind]}{more}")
