"""Percentile bootstrap intervals (Efron & Tibshirani 1993, chapter 13), by receptor, by protein or by pair.

Where the sides mean nothing (`data.symmetric`) a pair shares its errors with the pairs of both its proteins. So
proteins are drawn, and a pair is there as often as its two proteins together: the product of how often each was drawn
(the pigeonhole bootstrap, Owen 2007). No bootstrap of such pairs is exact (McCullagh 2000); this one errs to the safe
side, where intervals are too wide.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Literal

import numpy as np

from hpc.told import did
from snw_dist.arrays import FloatArray, IntArray
from snw_dist.metrics.metrics import METRICS, Sample
from snw_dist.metrics.resampled import WeightedMetrics

LEVEL = 0.95
_CELLS = 2**18
"""Distinct scores x repeats held at once: 2 MiB an array, which stays in the cache."""


@dataclasses.dataclass(frozen=True)
class Draws:
    """What is drawn with replacement, as often as there are units; two sets of scores share the same draws."""

    unit: Literal["receptor", "protein", "pair"]
    of_pair: IntArray
    """[pairs]: what each pair is counted with: its receptor, or itself."""
    num_units: int
    repeats: int
    seed: int
    ends: tuple[IntArray, IntArray] | None = None
    """[pairs] each: the two proteins of each pair, where proteins are drawn."""

    def chunks(self) -> Iterator[FloatArray]:
        """How often each number of `of_pair` is drawn, [numbers, repeats of the chunk]; the same each time."""
        for counts in self._counts():
            if self.ends is None:
                yield counts
            else:
                one, other = self.ends
                yield counts[one] * np.where((one == other)[:, None], 1.0, counts[other])

    def _counts(self) -> Iterator[FloatArray]:
        rng = np.random.default_rng(self.seed)
        size = max(1, _CELLS // max(1, self.of_pair.size))
        for start in range(0, self.repeats, size):
            num = min(size, self.repeats - start)
            drawn = rng.integers(0, self.num_units, size=(num, self.num_units))
            drawn += np.arange(num)[:, None] * self.num_units
            counts = np.bincount(drawn.ravel(), minlength=num * self.num_units)
            yield np.ascontiguousarray(counts.reshape(num, self.num_units).T, dtype=np.float64)


def plan_draws(receptor: IntArray, repeats: int, seed: int, other_end: IntArray | None = None) -> Draws:
    """Draw receptors where there are two or more, because pairs of one receptor are not independent; else pairs.

    receptor: [pairs] int, 0 to n - 1. A handful of receptors makes coarse intervals. With `other_end`, numbered
    together with them, proteins are drawn.
    """
    if other_end is not None and receptor.size >= 2:
        num_proteins = int(max(receptor.max(), other_end.max())) + 1
        return Draws("protein", np.arange(receptor.size), num_proteins, repeats, seed, (receptor, other_end))
    num_receptors = np.unique(receptor).size
    if num_receptors >= 2:
        return Draws("receptor", receptor, num_receptors, repeats, seed)
    return Draws("pair", np.arange(receptor.size), receptor.size, repeats, seed)


def repeat_metrics(sample: Sample, draws: Draws) -> dict[str, FloatArray]:
    """Every metric of every repeat, [repeats] each; the threshold and the calibration are held fixed."""
    by_receptor = draws.unit == "receptor"
    weighted = WeightedMetrics(sample, draws.of_pair, int(draws.of_pair.max()) + 1, by_receptor=by_receptor)
    parts = []
    for counts in draws.chunks():
        parts.append(weighted(counts))
        did("repeats", counts.shape[1])
    return {name: np.concatenate([part[name] for part in parts] or [np.empty(0)]) for name in METRICS}


def interval(values: FloatArray, level: float = LEVEL) -> tuple[float, float]:
    """The middle `level` of the values [repeats] that are defined; NaN where none is."""
    usable = values[~np.isnan(values)]
    if not usable.size:
        return math.nan, math.nan
    low, high = np.quantile(usable, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def gap_interval(value: float, repeats: FloatArray, level: float = LEVEL) -> tuple[float, float]:
    """The interval of a calibration error, from its repeats [repeats]; it holds the value, and is never below 0.

    Such an error is a sum of absolute gaps, which chance makes larger: the value by its pairs, and a repeat once more
    by its draw. So the lower end is that of the basic bootstrap, the upper quantile reflected at the value (Davison &
    Hinkley 1997, section 5.2), and what the repeats have too much in the mean is taken off the upper end.
    """
    _, high = interval(repeats, level)
    if math.isnan(high):
        return high, high
    too_much = max(0.0, float(np.nanmean(repeats)) - value)
    return max(0.0, min(value, 2 * value - high)), max(value, high - too_much)
