"""Metrics of one set of scores, and the decision threshold; `bootstrap` has the intervals."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt
from scipy import stats
from sklearn.metrics import average_precision_score, f1_score, matthews_corrcoef, roc_auc_score

from hpc.errors import CorruptError
from snw_dist.arrays import BoolArray, FloatArray, IntArray
from snw_dist.metrics.curves import bedroc, curve_of, enrichment, ranked

METRICS = {
    "auroc": "area under the ROC curve, a tie counting one half",
    "auprc": "average precision; chance is the share of positives",
    "mcc": "Matthews correlation at the threshold",
    "f1": "F1 at the threshold",
    "brier": "mean squared error of the calibrated probability (Brier 1950), lower is better",
    "ece": "expected calibration error of the calibrated probability, 15 bins of equal width (Guo et al. 2017)",
    "spearman": "rank correlation of score and continuous label",
    "pearson": "linear correlation of score and continuous label",
    "ef_1": "enrichment factor: share of positives among the best 1 % (rounded up) over that among all",
    "ef_5": "enrichment factor of the best 5 %",
    "bedroc": "Boltzmann-enhanced discrimination of ROC, alpha 20 (Truchon & Bayly 2007, eq. 36)",
    "hit_1": "share of the receptors with a positive whose best-scored pair is positive",
    "hit_5": "share of the receptors with a positive that have one among their 5 best-scored pairs",
}
"""Every metric and what it is, in the order of `metrics.json`. Ties are averaged over their orders."""
CLASS_METRICS = ("auroc", "auprc", "mcc", "f1")
ENRICHMENT_PERCENT = {"ef_1": 1, "ef_5": 5}
HITS = {"hit_1": 1, "hit_5": 5}
BEDROC_ALPHA = 20.0
ECE_BINS = 15


@dataclasses.dataclass(frozen=True)
class Sample:
    """One set of scores and the truth; every array is [pairs]."""

    positive: BoolArray
    label: FloatArray
    score: FloatArray
    probability: FloatArray
    """The calibrated score, in [0, 1]."""
    receptor: IntArray
    """Number of the receptor of each pair, 0 to `receptor.max()`."""
    threshold: float
    """A pair is called positive when score >= threshold; NaN when there is none."""
    other_end: IntArray | None = None
    """With `data.symmetric`, the number of the other protein of each pair, among those of `receptor`."""


def checked(positive: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[BoolArray, FloatArray]:
    """Both as arrays [n], bool and float64.

    Raises `CorruptError` naming how many scores are not finite, `ValueError` when the shapes differ.
    """
    flags, values = np.asarray(positive, dtype=np.bool_), np.asarray(scores, dtype=np.float64)
    if flags.ndim != 1 or flags.shape != values.shape:
        raise ValueError(f"positive {flags.shape} and scores {values.shape} must be two equal, flat lengths")
    num_bad = int(np.count_nonzero(~np.isfinite(values)))
    if num_bad:
        raise CorruptError(
            f"{num_bad} of {values.size} scores are not finite (NaN or infinite): the model or the "
            "embeddings are damaged. Evaluate an older checkpoint, or verify the embedding store."
        )
    return flags, values


def choose_threshold(positive: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Score from which a pair is called positive (`score >= threshold`) so that F1 is largest.

    positive: [pairs] bool; scores: [pairs] float. The candidates are the scores themselves; among equal F1
    the highest threshold wins, that is the fewest calls. F1 is a ratio of two integers here, so ties are
    exact. NaN when there is no positive pair, because F1 is then 0 everywhere.
    """
    flags, values = checked(positive, scores)
    num_positive = int(flags.sum())
    if num_positive == 0:
        return math.nan
    order = np.argsort(-values, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(values[order])), values.size - 1)  # last pair of each tied score
    tp = np.cumsum(flags[order])[ends]
    f1 = 2 * tp / (ends + 1 + num_positive)
    return float(values[order[ends[np.argmax(f1)]]])


def measure(sample: Sample) -> dict[str, float]:
    """Every metric of `METRICS`; NaN where it is undefined."""
    values = classification_metrics(sample.positive, sample.score, sample.threshold)
    values |= probability_metrics(sample.positive, sample.probability)
    values |= correlations(sample.label, sample.score)
    values |= early_recognition(sample.positive, sample.score)
    row, protein = ends_of(sample.receptor, sample.other_end)
    values |= hit_rates(sample.positive[row], sample.score[row], protein)
    return {name: values[name] for name in METRICS}


def ends_of(receptor: IntArray, other_end: IntArray | None) -> tuple[IntArray, IntArray]:
    """Which pair, and whose: each pair once for its receptor, or for either end (once where both are one protein).

    `receptor`, `other_end`: [num_pairs]; returns two arrays [num_ends].
    """
    rows = np.arange(receptor.size)
    if other_end is None:
        return rows, receptor
    two = np.flatnonzero(receptor != other_end)
    return np.concatenate([rows, two]), np.concatenate([receptor, other_end[two]])


def classification_metrics(positive: npt.ArrayLike, scores: npt.ArrayLike, threshold: float) -> dict[str, float]:
    """AUROC, AUPRC (average precision), MCC and F1 by scikit-learn.

    positive: [pairs] bool; scores: [pairs] float, higher meaning more likely positive. MCC and F1 are those
    of `score >= threshold`. AUROC and AUPRC are NaN where only one class is present; MCC and F1 are 0 where
    their denominator is 0 and NaN where the threshold is NaN or there is no pair.
    """
    flags, values = checked(positive, scores)
    metrics = dict.fromkeys(CLASS_METRICS, math.nan)
    if flags.any() and not flags.all():
        metrics["auroc"] = float(roc_auc_score(flags, values))
        metrics["auprc"] = float(average_precision_score(flags, values))
    if flags.size and not math.isnan(threshold):
        called = values >= threshold
        metrics["f1"] = float(f1_score(flags, called, zero_division=0.0))
        # One class on either side makes MCC 0 by convention; scikit-learn would warn on some of these.
        constant = flags.all() or not flags.any() or called.all() or not called.any()
        metrics["mcc"] = 0.0 if constant else float(matthews_corrcoef(flags, called))
    return metrics


def probability_metrics(positive: npt.ArrayLike, probability: npt.ArrayLike) -> dict[str, float]:
    """Brier score and expected calibration error of probabilities of being positive, [pairs] in [0, 1].

    The calibration error is the mean over `ECE_BINS` bins of equal width, weighted by their pairs, of the distance
    between the mean probability and the share of positives. A bin holds its lower edge; the last one holds 1 too.
    NaN when there is no pair.
    """
    flags, values = checked(positive, probability)
    if not flags.size:
        return {"brier": math.nan, "ece": math.nan}
    gap = np.bincount(probability_bins(values), weights=values - flags, minlength=ECE_BINS)
    return {"brier": float(np.mean((values - flags) ** 2)), "ece": float(np.abs(gap).sum() / values.size)}


def probability_bins(probability: FloatArray) -> IntArray:
    """[n]: the bin, 0 to `ECE_BINS` - 1, of each probability [n]."""
    return np.minimum((probability * ECE_BINS).astype(np.int64), ECE_BINS - 1)


def correlations(label: npt.ArrayLike, scores: npt.ArrayLike) -> dict[str, float]:
    """Spearman (ties share their mean rank) and Pearson correlation of the scores with the continuous label.

    label, scores: [pairs] float. NaN when either is constant or there are fewer than two pairs.
    """
    truth = np.asarray(label, dtype=np.float64)
    values = checked(np.zeros(truth.shape, dtype=np.bool_), scores)[1]
    if values.size < 2 or truth.min() == truth.max() or values.min() == values.max():
        return {"spearman": math.nan, "pearson": math.nan}
    ranks = stats.rankdata(truth), stats.rankdata(values)
    return {
        "spearman": float(np.corrcoef(*ranks)[0, 1]),
        "pearson": float(np.corrcoef(truth, values)[0, 1]),
    }


def early_recognition(positive: npt.ArrayLike, scores: npt.ArrayLike) -> dict[str, float]:
    """Enrichment factors and BEDROC: how early the positives come, as in a screen; NaN for a single class.

    `positive`, `scores`: [n].
    """
    flags, values = checked(positive, scores)
    if not flags.any() or flags.all():
        return dict.fromkeys((*ENRICHMENT_PERCENT, "bedroc"), math.nan)
    group = ranked(values)
    curve = curve_of(*(np.bincount(group, weights=w)[:, None].astype(np.float64) for w in (flags, ~flags)))
    found = {name: enrichment(curve, percent) for name, percent in ENRICHMENT_PERCENT.items()}
    found["bedroc"] = bedroc(curve, BEDROC_ALPHA)
    return {name: float(value[0]) for name, value in found.items()}


def hit_rates(positive: npt.ArrayLike, scores: npt.ArrayLike, receptor: npt.ArrayLike) -> dict[str, float]:
    """hit@k: the mean of `hit_probability` over the receptors; NaN when none has a positive."""
    rates = {name: hit_probability(positive, scores, receptor, k) for name, k in HITS.items()}
    return {name: float(np.nanmean(r)) if not np.isnan(r).all() else math.nan for name, r in rates.items()}


def hit_probability(positive: npt.ArrayLike, scores: npt.ArrayLike, receptor: npt.ArrayLike, k: int) -> FloatArray:
    """For each receptor the probability that a positive is among its k best-scored pairs, ties in random order.

    receptor: [pairs] int, 0 to n - 1. Returns [n] float64, 0 or 1 without ties, NaN for receptors without a
    positive. A receptor with fewer than k pairs is taken with all it has.
    """
    flags, values = checked(positive, scores)
    numbers = np.asarray(receptor, dtype=np.int64)
    order = np.lexsort((-values, numbers))
    found = np.full(int(numbers.max(initial=-1)) + 1, math.nan)
    for rows in np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1):
        if rows.size and flags[rows].any():
            last = values[rows[min(k, rows.size) - 1]]
            above, tied = rows[values[rows] > last], rows[values[rows] == last]
            miss = stats.hypergeom.pmf(0, tied.size, flags[tied].sum(), min(k, rows.size) - above.size)
            found[numbers[rows[0]]] = 1.0 if flags[above].any() else 1.0 - miss
    return found
