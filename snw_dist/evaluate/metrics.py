"""Metrics of one set of scores and the decision threshold; `bootstrap` has the intervals."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import stats
from sklearn.metrics import average_precision_score, f1_score, matthews_corrcoef, roc_auc_score

from hpc.errors import CorruptError

METRIC_NAMES = ("auroc", "auprc", "mcc", "f1")

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]


def checked(positive: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[BoolArray, FloatArray]:
    """Both as one-dimensional arrays of the same length, bool and float64.

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
    true_positive = np.cumsum(flags[order])[ends]
    f1 = 2 * true_positive / (ends + 1 + num_positive)
    return float(values[order][ends[int(np.argmax(f1))]])


def classification_metrics(positive: npt.ArrayLike, scores: npt.ArrayLike, threshold: float) -> dict[str, float]:
    """AUROC, AUPRC (average precision), MCC and F1 by scikit-learn.

    positive: [pairs] bool; scores: [pairs] float, higher meaning more likely positive. MCC and F1 are those
    of `score >= threshold`. AUROC and AUPRC are NaN where only one class is present; MCC and F1 are 0 where
    their denominator is 0 and NaN where the threshold is NaN or there is no pair.
    """
    flags, values = checked(positive, scores)
    metrics = dict.fromkeys(METRIC_NAMES, math.nan)
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


def spearman(label: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Rank correlation of the scores with the continuous label, ties sharing their mean rank.

    label, scores: [pairs] float. NaN when either is constant or there are fewer than two pairs.
    """
    values = checked(np.zeros(np.shape(scores), dtype=np.bool_), scores)[1]
    first, second = stats.rankdata(np.asarray(label, dtype=np.float64)), stats.rankdata(values)
    if first.shape != second.shape:
        raise ValueError(f"label {first.shape} and scores {second.shape} must have equal lengths")
    if values.size < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return math.nan
    return float(np.corrcoef(first, second)[0, 1])
