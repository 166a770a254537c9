"""Ranking metrics from counts at each distinct score, for many weightings of the same pairs at once.

A bootstrap repeat is a weighting by whole numbers: how often each pair was drawn. Arrays are [distinct scores,
repeats], the highest score first, so that sums over better scores run along contiguous rows. Pairs of equal score
count as if they stood in random order.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from snw_dist.arrays import FloatArray, IntArray


@dataclasses.dataclass(frozen=True)
class Curve:
    """The ROC curve in counts; every array is [distinct scores, repeats] float64, whole numbers."""

    positive: FloatArray
    """Positives of exactly this score."""
    negative: FloatArray
    tp: FloatArray
    """Positives of this score or a higher one."""
    fp: FloatArray


def ranked(scores: FloatArray) -> IntArray:
    """[pairs]: the place of each pair's score among the distinct scores, 0 for the highest."""
    group: IntArray = np.unique(-scores, return_inverse=True)[1].astype(np.int64, copy=False)
    return group


def curve_of(positive: FloatArray, negative: FloatArray) -> Curve:
    """The curve from positives and negatives of each distinct score, [distinct scores, repeats]."""
    return Curve(positive, negative, positive.cumsum(axis=0), negative.cumsum(axis=0))


def auroc(curve: Curve) -> FloatArray:
    """Share of positive-negative pairs in the right order, a tie counting one half (Mann-Whitney): [repeats]."""
    wins = (curve.negative * (curve.tp - curve.positive / 2)).sum(axis=0)
    return _ratio(wins, curve.tp[-1] * curve.fp[-1])


def auprc(curve: Curve) -> FloatArray:
    """Average precision, the sum of precision times the step in recall: [repeats]; NaN without positives."""
    precision = curve.tp / np.maximum(curve.tp + curve.fp, 1)
    return _ratio((curve.positive * precision).sum(axis=0), curve.tp[-1])


def f1_and_mcc(curve: Curve, num_called: int) -> tuple[FloatArray, FloatArray]:
    """F1 and Matthews correlation when the best `num_called` distinct scores are called positive: [repeats] each.

    0 where a denominator is 0.
    """
    num_positive, num_negative = curve.tp[-1], curve.fp[-1]
    nothing = np.zeros_like(num_positive)
    tp, fp = (curve.tp[num_called - 1], curve.fp[num_called - 1]) if num_called else (nothing, nothing)
    fn, tn = num_positive - tp, num_negative - fp
    f1 = 2 * tp / np.maximum(2 * tp + fp + fn, 1)
    spread = np.sqrt((tp + fp) * num_positive) * np.sqrt((tn + fn) * num_negative)
    return f1, (tp * tn - fp * fn) / np.where(spread > 0, spread, 1)


def enrichment(curve: Curve, percent: int) -> FloatArray:
    """Share of positives among the best `percent` % over their share among all: [repeats]; NaN without positives.

    The best are ceil(percent / 100 * pairs) of them, so at least one. Chance is 1, the most 100 / percent or less.
    """
    total = curve.tp + curve.fp
    num_best = np.ceil(total[-1] * percent / 100)
    last = (total < num_best).sum(axis=0)  # the distinct score that the best pairs end in
    repeat = np.arange(total.shape[1])
    tied = curve.positive[last, repeat] + curve.negative[last, repeat]
    share = _ratio(num_best - (total[last, repeat] - tied), tied)
    hits = curve.tp[last, repeat] - curve.positive[last, repeat] * (1 - share)
    return _ratio(hits / np.maximum(num_best, 1), _ratio(curve.tp[-1], total[-1]))


def bedroc(curve: Curve, alpha: float) -> FloatArray:
    """BEDROC (Truchon & Bayly 2007, eq. 36): [repeats]; NaN for a single class.

    The sum over positives of exp(-alpha rank / pairs), brought to [0, 1] by its values for the worst and for the best
    order. The common factor 1 / (exp(alpha / pairs) - 1) of all three is left out.
    """
    total = curve.tp + curve.fp
    num_pairs, tied = np.maximum(total[-1], 1), curve.positive + curve.negative
    decay = np.exp(-alpha * np.vstack([np.zeros_like(num_pairs), total]) / num_pairs)
    found = (curve.positive / np.maximum(tied, 1) * -np.diff(decay, axis=0)).sum(axis=0)
    share = curve.tp[-1] / num_pairs
    best = 1 - np.exp(-alpha * share)
    worst = np.exp(-alpha * (1 - share)) - np.exp(-alpha)
    return _ratio(found - worst, np.where(share < 1, best - worst, 0))


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """NaN where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator > 0)
