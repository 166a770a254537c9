"""The hits of a screen as arrays: list after list, each pair once, with what is said of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from snw_dist.arrays import FloatArray, IntArray
from snw_dist.screen.library import Kind, StoredLibrary
from snw_dist.screen.ranked import Ranked
from snw_dist.screen.vectors import VectorSet

HITS_AT_ONCE = 1 << 16
"""Hits that are in memory together; but a list is looked at as a whole."""


@dataclass(frozen=True)
class Sides:
    """Both libraries with their vectors."""

    ligands: StoredLibrary
    receptors: StoredLibrary
    ligand_vectors: VectorSet
    receptor_vectors: VectorSet
    by: Kind
    """Who has a list."""

    @property
    def owners(self) -> StoredLibrary:
        """Each has a list."""
        return self.receptors if self.by == "receptor" else self.ligands

    @property
    def ranked(self) -> StoredLibrary:
        """These are in the lists."""
        return self.ligands if self.by == "receptor" else self.receptors


class Pairs(NamedTuple):
    """Hits of some lists, one list after another; every array is [hits]."""

    ligand: IntArray
    """Number in the library."""
    receptor: IntArray
    """Number in the library."""
    rank: IntArray
    """Place in its list, from 1."""
    score: FloatArray
    """By which it is ranked."""
    first_score: NDArray[np.float32]
    """Of the network of the first stage."""
    first_rank: IntArray
    """Place in the list of the first stage, from 1."""
    members: Mapping[str, FloatArray]
    """Member of the bundle that has ranked -> its scores."""

    def of(self, side: Kind) -> IntArray:
        """[hits] numbers of a side."""
        return self.ligand if side == "ligand" else self.receptor


class Hits(NamedTuple):
    """Hits, and what is said of them."""

    owners: range
    """Whose lists these are; some may have no hit."""
    pairs: Pairs
    said: Mapping[str, FloatArray]
    """Column -> [hits]; NaN where there is nothing to say."""


class Evidence(Protocol):
    """Says something of hits."""

    def __call__(self, pairs: Pairs) -> Mapping[str, FloatArray]:
        """Column -> [hits]; NaN where there is nothing to say."""
        ...


def hits_of(owners: range, ranked: Ranked, least: FloatArray, by: Kind, evidence: Evidence) -> Iterator[Hits]:
    """The hits of some lists in their order, as far as they score at least `least`, [owners]; some lists at a time."""
    counts = ranked.counts(least)
    at_once = max(1, HITS_AT_ONCE // max(1, ranked.ligand.shape[1]))
    for start in range(0, len(owners), at_once):
        some = owners[start : start + at_once]
        pairs = _pairs(some, np.arange(start, start + len(some)), ranked, counts, by)
        yield Hits(some, pairs, evidence(pairs) if len(pairs.rank) else {})


def _pairs(owners: range, rows: IntArray, ranked: Ranked, counts: IntArray, by: Kind) -> Pairs:
    """Of the lists in some rows of `ranked`, [owners], the first entries: `counts`, [all rows]."""
    num = counts[rows]
    row, place = np.repeat(rows, num), np.arange(num.sum()) - np.repeat(np.cumsum(num) - num, num)
    members = {name: scores[row, place] for name, scores in ranked.members.items()}
    of_first = ranked.first_score[row, place], ranked.first_rank[row, place]
    sides = ranked.ligand[row, place], row - rows[0] + owners.start
    return Pairs(*(sides if by == "receptor" else sides[::-1]), place + 1, ranked.score[row, place], *of_first, members)
