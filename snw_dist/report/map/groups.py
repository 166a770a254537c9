"""Receptors in few groups by how alike their sequences are: colours for a map.

No data set has to say which family its receptors are of, and ids are named in many ways. So the groups come from the
sequences alone, by average linkage (Sokal & Michener 1958) of the share of changed residues. They are relative: the
set is cut into a few groups however alike all of it is. They are no families of any nomenclature.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from snw_dist.arrays import FloatArray, IntArray

MOST_GROUPS = 6
MOST_COMPARED = 500
"""Receptors that are compared with each other; any other one joins the group whose middle is closest to it."""


@dataclasses.dataclass(frozen=True)
class Groups:
    """Receptors by group; the largest one is the first."""

    middles: tuple[str, ...]
    """Of each group the sequence that is closest to all others of it."""
    of: Mapping[str, int]
    """Sequence -> its group."""

    def sizes(self) -> list[int]:
        """Receptors of each group."""
        counts = Counter(self.of.values())
        return [counts[group] for group in range(len(self.middles))]


def groups_of(sequences: Sequence[str]) -> Groups:
    """Groups of distinct sequences, at least one; where there are many, the first ones make the groups."""
    compared, rest = list(sequences[:MOST_COMPARED]), list(sequences[MOST_COMPARED:])
    apart = _changed(compared, compared)
    number = _cut(apart)
    middles = [_middle(np.flatnonzero(number == group), apart) for group in range(number.max() + 1)]
    if rest:
        number = np.concatenate([number, _changed(rest, [compared[at] for at in middles]).argmin(axis=1)])
    counts = np.bincount(number)
    order = np.lexsort((np.array(middles), -counts))
    place = np.argsort(order)
    of = {sequence: int(place[group]) for sequence, group in zip(sequences, number.tolist(), strict=True)}
    return Groups(tuple(compared[middles[group]] for group in order), of)


def _changed(some: Sequence[str], others: Sequence[str]) -> FloatArray:
    """[some, others]: changed residues / length of the longer sequence."""
    return np.asarray(cdist(some, others, scorer=Levenshtein.normalized_distance), np.float64)


def _cut(apart: FloatArray) -> IntArray:
    """[sequences]: numbers of groups, from 0 on."""
    if len(apart) <= MOST_GROUPS:
        return np.arange(len(apart), dtype=np.int64)
    number = fcluster(linkage(squareform(apart, checks=False), "average"), MOST_GROUPS, "maxclust")
    return np.unique(number, return_inverse=True)[1].astype(np.int64)


def _middle(members: IntArray, apart: FloatArray) -> int:
    return int(members[apart[np.ix_(members, members)].sum(axis=1).argmin()])
