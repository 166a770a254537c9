"""What is to be done with a source of pairs, before it is begun: counted in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from snw_dist.arrays import IntArray
from snw_dist.scoring.table.sides import Pair, Refused

Fingerprints = npt.NDArray[np.uint64]
_MOST_KEPT = 1 << 21
_ALL = 1 << 64


class Count(NamedTuple):
    """Distinct sequences and their residues."""

    sequences: int
    residues: int
    exact: bool
    """Else they are estimated, within a per cent or so."""

    def plus(self, other: Count) -> Count:
        """Both together; none of the sequences is in both."""
        return Count(self.sequences + other.sequences, self.residues + other.residues, self.exact and other.exact)


NOTHING = Count(0, 0, True)


class Distinct:
    """Counts distinct sequences by numbers that stand for them: exactly, or, of very many, by a sample.

    Of more than `most` it keeps those with numbers below a half, a quarter, ... of the range. As the numbers are spread
    evenly, that is such a share of the sequences: adaptive sampling (Flajolet, On adaptive sampling, 1990).
    """

    def __init__(self, most: int = _MOST_KEPT) -> None:
        self._most, self._halvings = most, 0
        self._kept: Fingerprints = np.empty(0, np.uint64)
        self._residues: IntArray = np.empty(0, np.int64)
        self._waiting: list[tuple[Fingerprints, IntArray]] = []
        self._num_waiting = 0

    def add(self, numbers: Fingerprints, residues: IntArray) -> None:
        """Sequences by their numbers [n], spread evenly over 64 bits, and their residues [n]."""
        if self._halvings:
            sampled = numbers < np.uint64(_ALL >> self._halvings)
            numbers, residues = numbers[sampled], residues[sampled]
        self._waiting.append((numbers, residues))
        self._num_waiting += len(numbers)
        if self._num_waiting > self._most:
            self._merge()

    def add_texts(self, sequences: Iterable[str]) -> None:
        """Sequences as they are."""
        known = list(sequences)
        numbers = np.array([hash(one) & (_ALL - 1) for one in known], np.uint64)
        self.add(numbers, np.array([len(one) for one in known], np.int64))

    def count(self) -> Count:
        """What was added so far."""
        self._merge()
        share = 1 << self._halvings
        return Count(len(self._kept) * share, int(self._residues.sum()) * share, not self._halvings)

    def _merge(self) -> None:
        numbers = np.concatenate([self._kept, *(one for one, _ in self._waiting)])
        residues = np.concatenate([self._residues, *(sizes for _, sizes in self._waiting)])
        self._waiting, self._num_waiting = [], 0
        self._kept, first = np.unique(numbers, return_index=True)
        self._residues = residues[first]
        while len(self._kept) > self._most:
            self._halvings += 1
            sampled = self._kept < np.uint64(_ALL >> self._halvings)
            self._kept, self._residues = self._kept[sampled], self._residues[sampled]


class Survey(NamedTuple):
    """A source as it was counted."""

    rows: int
    pairs: int
    """Rows that will have a score."""
    distinct: Count
    """Of both sides."""
    to_embed: Count
    """Those without the ones that a store holds."""
    receptors: int
    """Distinct ones, about."""


@dataclass
class Counting:
    """A survey while it is made."""

    stored: Callable[[str], bool]
    """Whether a store holds a sequence, so that it is not embedded again."""
    rows: int = 0
    pairs: int = 0
    _both: Distinct = field(default_factory=Distinct)
    _open: Distinct = field(default_factory=Distinct)
    _receptors: Distinct = field(default_factory=Distinct)

    def add(self, pairs: list[Pair | Refused]) -> None:
        """Some rows."""
        good = [pair for pair in pairs if isinstance(pair, Pair)]
        self.add_sides(len(pairs), len(good), {pair.ligand for pair in good}, {pair.receptor for pair in good})

    def add_sides(self, rows: int, pairs: int, ligands: set[str], receptors: set[str]) -> None:
        """Rows of which `pairs` will have a score, of these sequences."""
        self.rows, self.pairs = self.rows + rows, self.pairs + pairs
        self._both.add_texts(both := ligands | receptors)
        self._open.add_texts(one for one in both if not self.stored(one))
        self._receptors.add_texts(receptors)

    def made(self, others: Count = NOTHING) -> Survey:
        """What was counted; `others`: sequences that were not added, and are in no store."""
        found, to_embed = self._both.count().plus(others), self._open.count().plus(others)
        return Survey(self.rows, self.pairs, found, to_embed, self._receptors.count().sequences)


def counted(chunks: Iterator[list[Pair | Refused]], stored: Callable[[str], bool]) -> Survey:
    """The survey of all rows, from their pairs."""
    counting = Counting(stored)
    for pairs in chunks:
        counting.add(pairs)
    return counting.made()
