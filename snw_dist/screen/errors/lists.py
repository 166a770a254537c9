"""Which receptors of a screen are promised a false rate, by which calibration pairs, and which are not and why.

A receptor with enough calibration negatives of its own has a list of its own. The others share one list, whose promise
is for all of it and not for each receptor. Receptors that the network has learned from and those that it has not are
never in one list: it scores them differently.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from snw_dist.arrays import FloatArray
from snw_dist.bundle.calibration_pairs import CalibrationPairs
from snw_dist.bundle.nearest import Known
from snw_dist.screen.errors.conformal import Negatives

SHORTEST = Fraction(1, 20)
"""A receptor has enough negatives of its own if as little as this share of its library could be kept by them."""
OWN = "one receptor"
LEAST_ALIKE = 0.5
"""A receptor is unlike all calibration receptors if its closest one has less than this share of identical residues."""


@dataclass(frozen=True)
class HitList:
    """Receptors whose hits are selected together."""

    name: str
    """Of the kind of receptors that share it, or `OWN`."""
    receptors: list[int]
    """Positions among the receptors of the screen."""
    negatives: Negatives


@dataclass(frozen=True)
class HitLists:
    """What can be promised in a screen."""

    lists: list[HitList]
    refused: dict[int, str]
    """Position of a receptor -> why nothing is promised of its hits."""


def hit_lists(
    receptors: Sequence[str], pairs: CalibrationPairs, learned: Collection[str], symmetric: bool, rate: Fraction
) -> HitLists:
    """Deal the receptors of a screen to lists.

    receptors: distinct sequences; learned: the receptors of the training pairs (`trained_on.json`), with `symmetric`
    the proteins of both sides; then a pair belongs to both of its proteins.
    """
    known = _Negatives(pairs, symmetric)
    learned = set(learned)
    lists, refused = [], {}
    pooled: dict[bool, list[int]] = {True: [], False: []}
    pools = {kind: {name for name in known.receptors if (name in learned) == kind} for kind in (True, False)}
    unlike = {kind: _unlike(receptors, pools[kind]) for kind in pools}
    for place, receptor in enumerate(receptors):
        kind = receptor in learned
        own = known.negatives([receptor]) if receptor in pools[kind] else known.scores[:0]
        if len(own) >= enough(rate):
            lists.append(HitList(OWN, [place], Negatives.of(own, rate)))
        elif not pools[kind]:
            refused[place] = _OTHER_KIND[kind]
        elif unlike[kind][place]:
            refused[place] = f"less than {LEAST_ALIKE:.0%} of its residues are those of any of the {len(pools[kind])} "
            refused[place] += "calibration receptors that could stand for it"
        else:
            pooled[kind].append(place)
    for kind, places in pooled.items():
        negatives = known.negatives(pools[kind])
        if places and len(negatives) < fewest(rate):
            few = f"{len(negatives)} calibration negatives are there, and this rate needs {fewest(rate)}"
            refused |= dict.fromkeys(places, few)
        elif places:
            lists.append(HitList(_NAMES[kind], places, Negatives.of(negatives, rate)))
    return HitLists(lists, dict(sorted(refused.items())))


_NAMES = {True: "receptors of the training", False: "new receptors"}
_OTHER_KIND = {
    True: "the network has learned from it, and from none of the calibration receptors",
    False: "the network has not learned from it, but from all calibration receptors, whose scores are not like its own",
}


def fewest(rate: Fraction) -> int:
    """How many negatives it takes for any hit to be kept, if all of a library score above them."""
    return math.ceil(1 / rate) - 1


def enough(rate: Fraction) -> int:
    """How many negatives of its own a receptor needs for a list of its own."""
    return math.ceil(1 / (rate * SHORTEST)) - 1


def _unlike(receptors: Sequence[str], known: Collection[str]) -> list[bool]:
    """[receptors], whether each is too unlike all that are known."""
    if not known:
        return [True] * len(receptors)
    return [one.identity < LEAST_ALIKE for one in Known(list(known)).nearest(receptors)]


class _Negatives:
    """The negative calibration pairs by receptor."""

    def __init__(self, pairs: CalibrationPairs, symmetric: bool) -> None:
        negative = ~np.array(pairs.positive, bool)
        self.scores = np.array(pairs.score, np.float64)[negative]
        sides = [(pairs.receptors, pairs.receptor), (pairs.ligands, pairs.ligand)][: 1 + symmetric]
        self._number: dict[str, int] = {}
        ends = []
        for names, which in sides:
            numbers = [self._number.setdefault(name, len(self._number)) for name in names]
            ends.append(np.array(numbers, np.int64)[np.array(which, np.int64)][negative])
        self._ends = np.stack(ends)
        """[sides, negatives]"""

    @property
    def receptors(self) -> list[str]:
        """All that have a negative pair."""
        used = set(self._ends.ravel().tolist())
        return [name for name, number in self._number.items() if number in used]

    def negatives(self, receptors: Collection[str]) -> FloatArray:
        """The scores of the pairs of these receptors."""
        wanted = [self._number[name] for name in receptors if name in self._number]
        found = np.isin(self._ends, wanted).any(axis=0)
        return np.asarray(self.scores[found])
