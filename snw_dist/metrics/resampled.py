"""Every metric of one set of scores for many weightings at once, which is what a bootstrap needs.

What is drawn are units: receptors with all their pairs, or single pairs. A repeat is how often each unit was drawn,
so that sums over the pairs of a repeat are products of sparse matrices with those counts, and pairs are sorted once.
The values are those of `metrics.measure` on the pairs written out as often as they were drawn.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from snw_dist.arrays import BoolArray, FloatArray, IntArray
from snw_dist.metrics.curves import Curve, auprc, auroc, bedroc, curve_of, enrichment, f1_and_mcc, ranked
from snw_dist.metrics.metrics import (
    BEDROC_ALPHA,
    ECE_BINS,
    ENRICHMENT_PERCENT,
    HITS,
    METRICS,
    Sample,
    checked,
    hit_probability,
    probability_bins,
)


class WeightedMetrics:
    """The pairs of one sample, sorted and summed by unit once.

    unit: [pairs] int, 0 to `num_units` - 1. hit@k counts whole receptors, so it needs units that are receptors
    (`by_receptor`); otherwise it is NaN.
    """

    def __init__(self, sample: Sample, unit: IntArray, num_units: int, *, by_receptor: bool) -> None:
        positive, score = checked(sample.positive, sample.score)
        flags = positive.astype(np.float64)
        self.unit, self.num_units = unit, num_units
        self.by_score, self.by_label = ranked(score), ranked(sample.label)
        self.num_called = len(np.unique(score[score >= sample.threshold]))  # none where the threshold is NaN
        self.has_threshold = not np.isnan(sample.threshold)
        self.positives = self._sums(self.by_score, flags)
        self.negatives = self._sums(self.by_score, 1 - flags)
        self.labels = self._sums(self.by_label, np.ones_like(flags))
        self.gaps = self._sums(probability_bins(sample.probability), sample.probability - flags, ECE_BINS)
        error = (sample.probability - flags) ** 2
        x, y = (values - values.mean() for values in (sample.label, score))  # centred, so that little is cancelled
        self.totals = np.stack([self._by_unit(v) for v in (np.ones_like(x), error, x, y, x * x, y * y, x * y)])
        self.hits = np.zeros((0, num_units))
        if by_receptor:
            rates = [hit_probability(positive, score, sample.receptor, k) for k in HITS.values()]
            self.hits = np.nan_to_num(np.stack(rates))
            self.has_positive = self._by_unit(flags) > 0

    def __call__(self, counts: FloatArray) -> dict[str, FloatArray]:
        """Each metric of `METRICS` for every column of counts, [units, repeats] whole numbers: [repeats] each.

        Metrics of two classes are NaN where a repeat holds one only, correlations where it holds one value only, and
        all where it holds no pair.
        """
        empty = ~counts.any(axis=0)
        values = self._of_pairs(np.where(empty, 1.0, counts) if empty.any() else counts)
        return {name: np.where(empty, np.nan, values[name]) for name in METRICS}

    def _of_pairs(self, counts: FloatArray) -> dict[str, FloatArray]:
        curve = curve_of(self.positives @ counts, self.negatives @ counts)
        num_pairs, error, *moments = self.totals @ counts
        values = self._of_classes(curve)
        values["brier"] = error / num_pairs
        values["ece"] = np.abs(self.gaps @ counts).sum(axis=0) / num_pairs
        values |= self._of_labels(curve, counts, num_pairs, moments)
        values |= dict.fromkeys(HITS, np.full_like(error, np.nan))
        for name, hits in zip(HITS, self.hits, strict=False):
            receptors = self.has_positive @ counts
            values[name] = np.divide(hits @ counts, receptors, out=np.full_like(error, np.nan), where=receptors > 0)
        return values

    def _of_classes(self, curve: Curve) -> dict[str, FloatArray]:
        f1, mcc = f1_and_mcc(curve, self.num_called)
        values = {"auroc": auroc(curve), "auprc": auprc(curve), "bedroc": bedroc(curve, BEDROC_ALPHA)}
        values |= {name: enrichment(curve, percent) for name, percent in ENRICHMENT_PERCENT.items()}
        values |= {"f1": f1, "mcc": mcc} if self.has_threshold else dict.fromkeys(("f1", "mcc"), f1 * np.nan)
        both = (curve.tp[-1] > 0) & (curve.fp[-1] > 0)
        return {name: np.where(both, value, np.nan) for name, value in values.items()}

    def _of_labels(
        self, curve: Curve, counts: FloatArray, num_pairs: FloatArray, moments: list[FloatArray]
    ) -> dict[str, FloatArray]:
        at_label, at_score = self.labels @ counts, curve.positive + curve.negative
        varied = ((at_label > 0).sum(axis=0) > 1) & ((at_score > 0).sum(axis=0) > 1)
        x, y = (_mid_ranks(at) - (num_pairs + 1) / 2 for at in (at_label, at_score))  # their mean taken off
        both = np.einsum("pr,pr,pr->r", counts[self.unit], x[self.by_label], y[self.by_score])
        spearman = _correlation(both, (at_label * x * x).sum(axis=0), (at_score * y * y).sum(axis=0), varied)
        mean_x, mean_y, xx, yy, xy = (moment / num_pairs for moment in moments)
        pearson = _correlation(xy - mean_x * mean_y, xx - mean_x**2, yy - mean_y**2, varied)
        return {"spearman": spearman, "pearson": pearson}

    def _sums(self, group: IntArray, values: FloatArray, num_groups: int = 0) -> csr_array:
        """[groups, units]: the sum of the values of each group that each unit has."""
        shape = (max(num_groups, int(group.max()) + 1), self.num_units)
        return csr_array((values, (group, self.unit)), shape=shape)

    def _by_unit(self, values: FloatArray) -> FloatArray:
        return np.bincount(self.unit, weights=values, minlength=self.num_units).astype(np.float64, copy=False)


def _mid_ranks(drawn: FloatArray) -> FloatArray:
    """The rank that pairs of one value share, [distinct values, repeats], from how many were drawn of each."""
    return drawn.cumsum(axis=0) - (drawn - 1) / 2


def _correlation(xy: FloatArray, xx: FloatArray, yy: FloatArray, defined: BoolArray) -> FloatArray:
    """NaN where not defined, and where a variance is lost in rounding."""
    spread = np.sqrt(np.maximum(xx, 0.0) * np.maximum(yy, 0.0))
    quotient: FloatArray = np.divide(xy, spread, out=np.full_like(xy, np.nan), where=defined & (spread > 0))
    return quotient
