"""Negative pairs made from positive ones: the ligands of a split are dealt again to other receptors of that split.

Every ligand and every receptor is then in as many negative as positive pairs of each split, so a model that sees one
side only scores 0.5. The negatives are assumed, not measured.
"""

from __future__ import annotations

from collections import Counter
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from hpc.errors import InputError
from snw_dist.data.records.pairs import PairTable
from snw_dist.data.splits.clusters import Distinct

_TRIES = 200
_DEALS = 20
"""A deal that cannot be repaired is no proof: of small dense sets one in ten ended so, and none after a few more."""


def deal_again(
    ligands: Distinct,
    receptors: Distinct,
    pairs: PairTable,
    order: NDArray[np.int64],
    seed: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A negative for each of the positive `pairs`: its ligand and its receptor, as the columns of `pairs` have them.

    No negative joins a cluster of ligands with one of receptors that a positive of any split joins, and none is there
    twice. Within a split, the pairs in `order` are permuted at random, and what is not allowed is repaired by swaps.
    Where both sides are one set, that holds whichever side a sequence stands on, and none is dealt to itself. Raises
    `InputError` naming a split in which that is not found. `order` and both results: [num_pairs].
    """
    symmetric = ligands is receptors
    ligand, receptor = ligands.code[pairs.ligand], receptors.code[pairs.receptor]
    family, other = ligands.cluster[ligand], receptors.cluster[receptor]
    deal = _Deal(ligand.tolist(), receptor.tolist(), family.tolist(), other.tolist(), symmetric)
    rng = np.random.default_rng(seed)
    for number in np.unique(pairs.split).tolist():
        rows = order[pairs.split[order] == number]
        for _ in range(_DEALS):
            if symmetric:  # the sequence that is first in the fixed order could never be dealt to the second
                deal.turn(rows[rng.random(len(rows)) < 0.5].tolist())
            if deal.permute(rows.tolist(), rng):
                break
        else:
            raise InputError(_impossible(pairs.split_names[number], family[rows], other[rows], symmetric))
    turned, dealt = np.array(deal.turned, np.bool_), np.array(deal.dealt, np.int64)
    one, two = np.where(turned, pairs.receptor, pairs.ligand), np.where(turned, pairs.ligand, pairs.receptor)
    return one[dealt], two


def _impossible(split: str, family: NDArray[np.int64], other: NDArray[np.int64], symmetric: bool) -> str:
    count = np.bincount(other)
    if symmetric:
        count = np.bincount(np.concatenate([other, family[family != other]]))
    what = "proteins bind too many of its" if symmetric else "ligands bind too many of its receptor"
    return (
        f"No negatives can be dealt in the split {split!r}: its {what} families, of which the largest holds "
        f"{count.max() / len(other):.0%} of the pairs. Add pairs, raise data.split.receptor_identity, or hold less "
        "apart."
    )


class _Deal:
    """Who is dealt whom, and which pairs that makes; plain lists, because it is gone through pair by pair."""

    def __init__(
        self, ligand: list[int], receptor: list[int], family: list[int], other: list[int], symmetric: bool
    ) -> None:
        self.ligand, self.receptor, self.family, self.other = ligand, receptor, family, other
        self.symmetric = symmetric
        self.bound = set(zip(family, other, strict=True))
        if symmetric:
            self.bound |= set(zip(other, family, strict=True))
        self.dealt = list(range(len(ligand)))
        self.turned = [False] * len(ligand)
        self.made: Counter[tuple[int, int]] = Counter()

    def turn(self, rows: list[int]) -> None:
        """Exchange the sides of these pairs, of which nothing is dealt."""
        for row in rows:
            self.ligand[row], self.receptor[row] = self.receptor[row], self.ligand[row]
            self.family[row], self.other[row] = self.other[row], self.family[row]
            self.turned[row] = not self.turned[row]

    def permute(self, rows: list[int], rng: np.random.Generator) -> bool:
        """Deal the pairs `rows` among themselves; False, and nothing dealt, when some cannot be."""
        for row, dealt in zip(rows, rng.permutation(rows).tolist(), strict=True):
            self.dealt[row] = dealt
        self.made.update(self.negative(row) for row in rows)
        for row in rows:
            if self.allowed(row) and self.made[self.negative(row)] == 1:
                continue
            some = (rows[i] for i in rng.integers(0, len(rows), _TRIES).tolist())
            if not any(self.swap(row, other) for other in chain(some, rows)):
                self.made.subtract(self.negative(row) for row in rows)
                return False
        return True

    def negative(self, row: int) -> tuple[int, int]:
        """The pair that is made for the receptor of `row`."""
        ligand, receptor = self.ligand[self.dealt[row]], self.receptor[row]
        return (receptor, ligand) if self.symmetric and receptor < ligand else (ligand, receptor)

    def allowed(self, row: int) -> bool:
        """No positive joins the families of this negative."""
        if self.symmetric and self.ligand[self.dealt[row]] == self.receptor[row]:
            return False
        return (self.family[self.dealt[row]], self.other[row]) not in self.bound

    def swap(self, one: int, two: int) -> bool:
        """Swap what two rows are dealt; takes it back, and says False, unless both are good then."""
        self.made.subtract((self.negative(one), self.negative(two)))
        self.dealt[one], self.dealt[two] = self.dealt[two], self.dealt[one]
        new = (self.negative(one), self.negative(two))
        self.made.update(new)
        if self.allowed(one) and self.allowed(two) and self.made[new[0]] == 1 == self.made[new[1]]:
            return True
        self.made.subtract(new)
        self.dealt[one], self.dealt[two] = self.dealt[two], self.dealt[one]
        self.made.update((self.negative(one), self.negative(two)))
        return False
