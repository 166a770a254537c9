"""Windows of proteins as numbers: which there are, where each of them is, and which are looked at together.

All windows of all proteins are numbered from 0: by protein, then by length in the order asked for, then by position.
So a number says all, and a window takes 8 bytes besides its letters. To find equal windows in bounded memory, they are
looked at in parts, by a number made from their letters: equal windows are in one part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from snw_dist.arrays import BoolArray, IntArray
from snw_dist.scoring.table.survey import Fingerprints

Letters = npt.NDArray[np.uint8]
_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xD6E8FEB86659FD93)
_HALF = np.uint64(32)


class Place(NamedTuple):
    """Where a window is."""

    protein: int
    """The number of the record, from 0."""
    position: int
    """Of its first letter, from 1."""
    length: int


def windows_of(size: int, lengths: Sequence[int]) -> int:
    """How many windows of these lengths a protein of `size` letters has."""
    return sum(max(0, size - length + 1) for length in lengths)


class Numbering:
    """All windows of some proteins."""

    def __init__(self, sizes: Sequence[int], lengths: Sequence[int]) -> None:
        self.sizes, self.lengths = sizes, lengths
        counts = [0, *(windows_of(size, lengths) for size in sizes)]
        self.first: IntArray = np.cumsum(np.array(counts, np.int64))
        """[proteins + 1] the number of the first window of each, and behind them how many there are."""

    @property
    def total(self) -> int:
        """How many windows there are."""
        return int(self.first[-1])

    def places(self, numbers: IntArray) -> list[Place]:
        """Where windows are; numbers: [n]."""
        proteins = np.searchsorted(self.first, numbers, "right") - 1
        rests = numbers - self.first[proteins]
        return [self._place(one, rest) for one, rest in zip(proteins.tolist(), rests.tolist(), strict=True)]

    def _place(self, protein: int, rest: int) -> Place:
        for length in self.lengths:
            count = max(0, self.sizes[protein] - length + 1)
            if rest < count:
                return Place(protein, rest + 1, length)
            rest -= count
        raise AssertionError("a number beyond the windows of its protein")


def fingerprints(letters: Letters, length: int) -> Fingerprints:
    """[windows] a number for the letters of each window, spread evenly: equal for equal windows of any proteins."""
    count = max(0, len(letters) - length + 1)
    codes = np.full(count, length, np.uint64)
    for place in range(length if count else 0):
        codes = codes * _STEP + letters[place : place + count]
    for _ in range(2):
        codes = (codes ^ (codes >> _HALF)) * _MIX
    return codes ^ (codes >> _HALF)


def all_in(allowed: BoolArray, letters: Letters, length: int) -> BoolArray:
    """[windows] whether all letters of a window are allowed ones; allowed: [256]."""
    bad = np.concatenate([[0], np.cumsum(~allowed[letters])])
    found: BoolArray = bad[length:] == bad[: max(0, len(bad) - length)]
    return found


def in_part(numbers: Fingerprints, part: int, parts: int) -> IntArray:
    """[n] which of the windows are of this part, of the parts 0, ...; numbers: [windows]."""
    return np.flatnonzero(numbers % np.uint64(parts) == np.uint64(part))


def cut_windows(letters: Letters, starts: IntArray, length: int, width: int) -> npt.NDArray[np.bytes_]:
    """[n] the windows that start at these places (from 0), as texts in arrays of `width` bytes; no letter is NUL."""
    text = np.zeros((len(starts), width), np.uint8)
    if len(starts):
        text[:, :length] = np.lib.stride_tricks.sliding_window_view(letters, length)[starts]
    return text.view(f"S{width}")[:, 0]


def groups(sizes: IntArray, most: int) -> Iterator[slice]:
    """Neighbours that together have at most `most`, or a single one; sizes: [n] of each."""
    ends, start = np.cumsum(sizes), 0
    while start < len(sizes):
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + most, "right")))
        yield slice(start, stop)
        start = stop
