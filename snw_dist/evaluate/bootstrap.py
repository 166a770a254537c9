"""Percentile bootstrap intervals, by receptor or by pair, fast enough for a thousand repeats.

A repeat is a vector of integer weights (how often each pair was drawn). The scores are sorted once, so that
each metric of a repeat is a few cumulative sums; the values are scikit-learn's with `sample_weight`, ties
included.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from snw_dist.evaluate.metrics import METRIC_NAMES, BoolArray, FloatArray, checked

_CELLS = 2**20  # weights held at once: repeats of a chunk x pairs


@dataclasses.dataclass(frozen=True)
class SortedPairs:
    """Pairs in descending order of score."""

    order: npt.NDArray[np.intp]
    """[pairs]: where each pair was before sorting."""
    positive: BoolArray
    """[pairs], sorted."""
    starts: npt.NDArray[np.intp]
    """[distinct scores]: first sorted pair of each."""
    num_called: int
    """How many of the distinct scores reach the threshold."""


@dataclasses.dataclass(frozen=True)
class BootstrapResult:
    """Intervals and how they came about."""

    intervals: dict[str, tuple[float, float]]
    """Metric name to (low, high); NaN where no repeat was usable."""
    unit: Literal["group", "pair"]
    """What was drawn with replacement."""
    num_units: int
    """How many of them there are; a handful of groups makes coarse intervals."""
    repeats: int
    dropped: int
    """Repeats left out because they held a single class."""


def sort_pairs(positive: npt.ArrayLike, scores: npt.ArrayLike, threshold: float) -> SortedPairs:
    """Sort once for any number of `weighted_metrics`; positive: [pairs] bool, scores: [pairs] float."""
    flags, values = checked(positive, scores)
    order = np.argsort(-values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.append(True, np.diff(ordered) != 0))[: values.size]
    return SortedPairs(order, flags[order], starts, int(np.count_nonzero(ordered[starts] >= threshold)))


def weighted_metrics(pairs: SortedPairs, weights: npt.NDArray[np.int64]) -> dict[str, FloatArray]:
    """The four metrics for each row of weights, NaN in rows that hold a single class.

    weights: [repeats, pairs] int64, how often each pair counts, in the order of `pairs` (sorted). Returns
    [repeats] float64 by metric. AUROC counts a tie as one half (Mann-Whitney); AUPRC is the sum of precision
    times the step in recall over distinct scores; MCC and F1 are 0 where their denominator is 0.
    """
    drawn_positive = np.add.reduceat(weights * pairs.positive, pairs.starts, axis=1)
    drawn_negative = np.add.reduceat(weights * ~pairs.positive, pairs.starts, axis=1)
    tp, fp = drawn_positive.cumsum(axis=1), drawn_negative.cumsum(axis=1)
    num_positive, num_negative = tp[:, -1].astype(np.float64), fp[:, -1].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):  # a single class: NaN, as documented
        wins = (drawn_negative * (2 * tp - drawn_positive)).sum(axis=1)
        auroc = wins / (2 * num_positive * num_negative)
        auprc = (drawn_positive * (tp / np.maximum(tp + fp, 1))).sum(axis=1) / num_positive
    nothing = np.zeros_like(num_positive)
    called_tp = tp[:, pairs.num_called - 1].astype(np.float64) if pairs.num_called else nothing
    called_fp = fp[:, pairs.num_called - 1].astype(np.float64) if pairs.num_called else nothing
    fn, tn = num_positive - called_tp, num_negative - called_fp
    f1 = 2 * called_tp / np.maximum(2 * called_tp + called_fp + fn, 1)
    spread = np.sqrt((called_tp + called_fp) * num_positive) * np.sqrt((tn + fn) * num_negative)
    mcc = (called_tp * tn - called_fp * fn) / np.where(spread > 0, spread, 1)
    both = (num_positive > 0) & (num_negative > 0)
    values = {"auroc": auroc, "auprc": auprc, "mcc": mcc, "f1": f1}
    return {name: np.where(both, value, math.nan) for name, value in values.items()}


def bootstrap_intervals(
    positive: npt.ArrayLike,
    scores: npt.ArrayLike,
    threshold: float,
    groups: npt.ArrayLike | None,
    repeats: int,
    seed: int,
    level: float = 0.95,
) -> BootstrapResult:
    """Percentile intervals (Efron & Tibshirani 1993, chapter 13) of the four metrics.

    positive: [pairs] bool; scores: [pairs] float; groups: [pairs] of any labels, such as receptor ids. With
    at least two groups, whole groups are drawn with replacement (the clustered bootstrap: pairs of one
    receptor are not independent); otherwise single pairs are. The threshold is held fixed. Deterministic from
    `seed`.
    """
    if repeats < 0 or not 0 < level < 1:
        raise ValueError(f"repeats {repeats} must not be negative and level {level} must be between 0 and 1")
    pairs = sort_pairs(positive, scores, threshold)
    unit, units, num_units = _resampling_units(groups, pairs.order.size)
    if not repeats or not num_units:
        return BootstrapResult(dict.fromkeys(METRIC_NAMES, (math.nan, math.nan)), unit, num_units, repeats, 0)
    units = units[pairs.order]
    rng = np.random.default_rng(seed)
    chunk = max(1, _CELLS // units.size)
    parts = [
        weighted_metrics(pairs, _draw(rng, min(chunk, repeats - start), num_units)[:, units])
        for start in range(0, repeats, chunk)
    ]
    values = {name: np.concatenate([part[name] for part in parts]) for name in METRIC_NAMES}
    usable = ~np.isnan(values["auroc"])
    intervals = {name: _percentiles(values[name][usable], level) for name in METRIC_NAMES}
    if math.isnan(threshold):
        intervals["mcc"] = intervals["f1"] = (math.nan, math.nan)
    return BootstrapResult(intervals, unit, num_units, repeats, int(np.count_nonzero(~usable)))


def _resampling_units(
    groups: npt.ArrayLike | None, num_pairs: int
) -> tuple[Literal["group", "pair"], npt.NDArray[np.intp], int]:
    if groups is not None:
        labels = np.asarray(groups)
        if labels.shape != (num_pairs,):
            raise ValueError(f"groups {labels.shape} must have one entry for each of {num_pairs} pairs")
        names, codes = np.unique(labels, return_inverse=True)
        if names.size >= 2:
            return "group", codes, names.size
    return "pair", np.arange(num_pairs), num_pairs


def _draw(rng: np.random.Generator, repeats: int, num_units: int) -> npt.NDArray[np.int64]:
    """[repeats, units] int64: how often each unit is drawn when as many units as there are are drawn."""
    drawn = rng.integers(0, num_units, size=(repeats, num_units))
    drawn += np.arange(repeats)[:, None] * num_units
    counts = np.bincount(drawn.ravel(), minlength=repeats * num_units)
    return counts.reshape(repeats, num_units).astype(np.int64, copy=False)


def _percentiles(values: FloatArray, level: float) -> tuple[float, float]:
    if not values.size:
        return math.nan, math.nan
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
