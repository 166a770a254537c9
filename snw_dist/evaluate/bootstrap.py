"""Percentile bootstrap intervals (Efron & Tibshirani 1993, chapter 13), by receptor or by pair."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Literal

import numpy as np

from snw_dist.evaluate.metrics import METRICS, Sample
from snw_dist.evaluate.ranked import FloatArray, IntArray
from snw_dist.evaluate.weighted import WeightedMetrics

LEVEL = 0.95
_CELLS = 2**18
"""Distinct scores x repeats held at once: 2 MiB an array, which stays in the cache."""


@dataclasses.dataclass(frozen=True)
class Draws:
    """What is drawn with replacement, as often as there are units; two sets of scores share the same draws."""

    unit: Literal["receptor", "pair"]
    of_pair: IntArray
    """[pairs]: the unit of each pair."""
    num_units: int
    repeats: int
    seed: int

    def chunks(self) -> Iterator[FloatArray]:
        """How often each unit is drawn, [units, repeats of the chunk]; the same numbers each time."""
        rng = np.random.default_rng(self.seed)
        size = max(1, _CELLS // max(1, self.of_pair.size))
        for start in range(0, self.repeats, size):
            num = min(size, self.repeats - start)
            drawn = rng.integers(0, self.num_units, size=(num, self.num_units))
            drawn += np.arange(num)[:, None] * self.num_units
            counts = np.bincount(drawn.ravel(), minlength=num * self.num_units)
            yield np.ascontiguousarray(counts.reshape(num, self.num_units).T, dtype=np.float64)


def plan_draws(receptor: IntArray, repeats: int, seed: int) -> Draws:
    """Draw receptors where there are two or more, because pairs of one receptor are not independent; else pairs.

    receptor: [pairs] int, 0 to n - 1. A handful of receptors makes coarse intervals.
    """
    num_receptors = np.unique(receptor).size
    if num_receptors >= 2:
        return Draws("receptor", receptor, num_receptors, repeats, seed)
    return Draws("pair", np.arange(receptor.size), receptor.size, repeats, seed)


def repeat_metrics(sample: Sample, draws: Draws) -> dict[str, FloatArray]:
    """Every metric of every repeat, [repeats] each; the threshold and the calibration are held fixed."""
    by_receptor = draws.unit == "receptor"
    weighted = WeightedMetrics(sample, draws.of_pair, draws.num_units, by_receptor=by_receptor)
    parts = [weighted(counts) for counts in draws.chunks()]
    return {name: np.concatenate([part[name] for part in parts] or [np.empty(0)]) for name in METRICS}


def interval(values: FloatArray, level: float = LEVEL) -> tuple[float, float]:
    """The middle `level` of the repeats that are defined; NaN where none is."""
    usable = values[~np.isnan(values)]
    if not usable.size:
        return math.nan, math.nan
    low, high = np.quantile(usable, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
