"""Conformal selection: the largest set of hits of which, in expectation, at most a given share is false.

A hit is compared with *calibration negatives*: pairs that are known not to bind, scored by the same network in the same
way, and held out from everything else. The p-value of a score is

    p = (1 + number of negatives that score as high or higher) / (1 + number of negatives),

and Benjamini and Hochberg's procedure keeps the pairs of small p. Conformal selection is of Jin and Candes, "Selection
by prediction with conformal p-values", JMLR 2023, 24(244). Their p-value divides by the number of all calibration
pairs, also those that bind. That is right where binders are as frequent in the library as among the calibration pairs,
and in a library that has to be screened they are rare. So we take the p-value of Bates et al., "Testing for outliers
with conformal p-values", Annals of Statistics 2023, 51(1):149, which asks nothing of the share of binders.

Why the promise holds, for any number of pairs and with equal scores. Let h be a pair of the library that does not bind.
If h is kept, all that score higher are kept too. So the same set is kept if the p-values of these are made smaller: if
each counts the negatives *and h* at or above it, and h itself has the smallest p there is. The size R of the set found
in that way does not change when h trades places with a negative. Given R, the rank of h among the negatives is any of
the possible ones with the same chance, so that h has p <= rate * R / tested with a chance of rate * R / tested at most.
Summed over all h, each counting 1 / R, this is rate * (share of the library that does not bind). All that is asked is
that h can be exchanged with the negatives, whatever the other pairs of the library are.

Nothing here is drawn by chance: equal scores count against a pair. Sums are of whole numbers, and the rate is a
fraction, so the result is exact and the same for any division of the library.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Self

import numpy as np
import numpy.typing as npt

from hpc.errors import InputError
from snw_dist.arrays import BoolArray, FloatArray, IntArray

Scores = npt.NDArray[np.floating]


def exact_rate(rate: float) -> Fraction:
    """The rate as it was written, 0.1 as 1/10; raises `InputError` unless it is above 0 and below 1."""
    if not 0 < rate < 1:
        raise InputError(
            f"a false rate of {rate}: the share of hits that may be false is above 0 and below 1, such as 0.1"
        )
    return Fraction(str(rate))


@dataclass(frozen=True)
class Negatives:
    """The scores of calibration negatives, as far as they can decide a selection at one rate."""

    rate: Fraction
    num: int
    """Of all negatives."""
    highest: FloatArray
    """[num_deciding] the highest scores, rising: no selection reaches below the lowest of them."""

    @classmethod
    def of(cls, scores: Scores, rate: Fraction) -> Self:
        """scores: [negatives], finite, in any order."""
        deciding = math.floor(rate * (len(scores) + 1))
        ordered = np.sort(np.asarray(scores, np.float64))
        return cls(rate, len(ordered), ordered[len(ordered) - deciding :])

    def counts(self, scores: Scores) -> IntArray:
        """How many scores have exactly k negatives as high or higher, for k below num_deciding; last, all others.

        scores: any shape; NaN is with the others. Returns [num_deciding + 1] int64. The counts of two parts of a
        library are those of the whole when they are added.
        """
        tail = len(self.highest)
        counts = np.zeros(tail + 1, np.int64)
        if tail:
            far = np.asarray(scores[scores > self.highest[0]], np.float64)
            above = tail - np.searchsorted(self.highest, far, side="left")
            counts[:tail] = np.bincount(above, minlength=tail)
        counts[tail] = scores.size - counts[:tail].sum()
        return counts

    def p_values(self, scores: Scores) -> FloatArray:
        """scores: [...] -> [...] float64, the p-value of each; 1.0 where it is too large for any selection, or NaN."""
        found = np.ones(scores.shape)
        if len(self.highest):
            far = scores > self.highest[0]
            above = len(self.highest) - np.searchsorted(self.highest, np.asarray(scores[far], np.float64), side="left")
            found[far] = (1 + above) / (1 + self.num)
        return found

    def fewest_hits(self, num_tested: int) -> int:
        """The smallest set that can be kept of so many pairs: all of it scores above every negative."""
        return math.ceil(num_tested / (self.rate * (self.num + 1)))

    def selection(self, counts: IntArray) -> Selection:
        """What is kept of a library with these `counts`."""
        tested = int(counts.sum())
        at_least = np.cumsum(counts[:-1]).tolist()
        least = self.rate * (self.num + 1)
        kept = [above for above, hits in enumerate(at_least) if hits and tested * (above + 1) <= least * hits]
        if not kept:
            return Selection(math.inf, 0, tested, self.num, 0.0)
        above, hits = kept[-1], at_least[kept[-1]]
        cutoff = float(self.highest[len(self.highest) - 1 - above])
        return Selection(cutoff, hits, tested, self.num, float(Fraction(tested * (above + 1), (self.num + 1) * hits)))


@dataclass(frozen=True)
class Selection:
    """The pairs that are kept: all that score above `cutoff`."""

    cutoff: float
    """Infinite where nothing can be kept."""
    num_hits: int
    num_tested: int
    num_negatives: int
    estimate: float
    """By the calibration negatives, of the hits at most this share is false: never above the rate."""

    def hits(self, scores: Scores) -> BoolArray:
        """scores: [...] -> [...], which of them are kept."""
        return np.asarray(scores > np.float64(self.cutoff))


def selected(scores: Scores, negatives: Scores, rate: float) -> Selection:
    """The selection from a library that is in memory.

    scores: [pairs]; negatives: [calibration negatives], by the same network; rate: the share that may be false.
    """
    of_calibration = Negatives.of(negatives, exact_rate(rate))
    return of_calibration.selection(of_calibration.counts(scores))
