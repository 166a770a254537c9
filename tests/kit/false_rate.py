"""Screens whose truth is known: made scores of calibration negatives and of a library, and how many hits are false."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from snw_dist.arrays import BoolArray, FloatArray
from snw_dist.screen.errors.conformal import Negatives, Selection, exact_rate

RATES = (0.05, 0.1, 0.2)
NUM_DRAWS = 200


@dataclass(frozen=True)
class Setting:
    """How scores are drawn: those of negatives from a normal distribution, those of binders `apart` higher."""

    name: str
    num_negatives: int = 1000
    num_positives: int = 1000
    """Calibration pairs that bind: they count by the rule that counts all pairs."""
    num_library: int = 2000
    binders: float = 0.2
    """Their share of the library."""
    apart: float = 2.5
    step: float = 0.0
    """Scores are multiples of it, so that many are equal; 0 for scores that are all different."""
    shift: float = 0.0
    """How much higher negatives of the library score than those of the calibration: they cannot be exchanged."""
    family: int = 1
    """So many pairs together are relatives: they bind or not together, and nine tenths of their variance is shared."""
    seen: float = 1.0
    """The share of the library that a first stage passes on: half of the variance of its scores is that of these."""


EXCHANGEABLE = (
    Setting("as the calibration pairs", num_negatives=1600, num_positives=400),
    Setting("few binders", binders=0.02, apart=4.0),
    Setting("no binders", binders=0.0),
    Setting("equal scores", step=0.5),
    Setting("few negatives", num_negatives=60, num_positives=600),
    Setting("small calibration", num_negatives=20, num_positives=20, binders=0.7),
    Setting("second stage sees a tenth", binders=0.02, apart=4.0, seen=0.1),
)
SHIFTED = Setting("negatives of the library score higher", shift=0.5)
RELATIVES = (
    Setting("families of 5", num_negatives=1600, num_positives=400, family=5),
    Setting("families of 20", num_negatives=1600, num_positives=400, family=20),
    Setting("families of 20, few binders", binders=0.02, apart=4.0, family=20),
)


@dataclass(frozen=True)
class Realised:
    """What became of many screens of one setting."""

    false: FloatArray
    """[draws] the share of false hits, 0 where there is no hit."""
    found: FloatArray
    """[draws] the share of the binders that are hits."""

    @property
    def mean(self) -> float:
        """The realised rate."""
        return float(self.false.mean())

    @property
    def half(self) -> float:
        """Half of the 95 % interval of the mean."""
        return float(1.96 * self.false.std(ddof=1) / len(self.false) ** 0.5)


def simulated(
    setting: Setting, rate: float, draws: int = NUM_DRAWS, seed: int = 1, all_pairs: bool = False
) -> Realised:
    """Screens of made scores; `all_pairs`: by the p-value that counts all calibration pairs."""
    random = np.random.default_rng([seed, draws])
    outcomes = []
    for _ in range(draws):
        negatives = _rounded(_drawn(random, setting.num_negatives, setting.family), setting.step)
        binds = np.repeat(random.random(setting.num_library // setting.family) < setting.binders, setting.family)
        scores = _drawn(random, len(binds), setting.family) + np.where(binds, setting.apart, setting.shift)
        scores = _passed_on(random, _rounded(scores, setting.step), setting.seen)
        found = chosen(scores, negatives, rate, setting.num_positives if all_pairs else 0)
        outcomes.append(outcome(found.hits(scores), binds))
    return Realised(*np.array(outcomes).T)


def chosen(scores: FloatArray, negatives: FloatArray, rate: float, num_positives: int = 0) -> Selection:
    """The selection; with `num_positives` by the p-value that divides by the number of all calibration pairs.

    That p-value is ours times (1 + negatives) / (1 + pairs), which is the same as a larger rate.
    """
    more = Fraction(1 + len(negatives) + num_positives, 1 + len(negatives))
    of_calibration = Negatives.of(negatives, min(exact_rate(rate) * more, Fraction(len(negatives), 1 + len(negatives))))
    return of_calibration.selection(of_calibration.counts(scores))


def outcome(hits: BoolArray, binds: BoolArray) -> tuple[float, float]:
    """The share of hits that are false, and the share of binders that are hits."""
    return (hits & ~binds).sum() / max(1, hits.sum()), (hits & binds).sum() / max(1, binds.sum())


def _drawn(random: np.random.Generator, num: int, family: int) -> FloatArray:
    """[num] from the standard normal distribution; in families of more than one with a common part."""
    if family == 1:
        return random.normal(0, 1, num)
    common = np.repeat(random.normal(0, 1, num // family), family)
    return np.asarray(np.sqrt(0.9) * common + np.sqrt(0.1) * random.normal(0, 1, len(common)))


def _passed_on(random: np.random.Generator, scores: FloatArray, seen: float) -> FloatArray:
    """[pairs] the scores of the pairs that are best by others, which are like these; -inf of the rest."""
    if seen == 1:
        return scores
    first = scores + random.normal(0, 1, len(scores))
    return np.where(first >= np.quantile(first, 1 - seen), scores, -np.inf)


def _rounded(scores: FloatArray, step: float) -> FloatArray:
    return np.asarray(np.round(scores / step) * step) if step else scores
