"""The interval of a probability: from how sure the calibration is, and from how far the members are apart."""

from __future__ import annotations

import numpy as np

from snw_dist.arrays import FloatArray
from snw_dist.scoring.scores import Scores

_MIDDLE = 0.025, 0.975


def probability_interval(scores: Scores, band: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Low and high end, [pairs] each; they hold the probability.

    band: [points, 3], see `snw_dist.bundle.trust`. The ends are those of the band at the score. Several members move
    the two places apart, to the ends of the middle 95 % of their probabilities.
    """
    at, low, high = band.T
    if len(scores.members) == 1:
        lower = upper = scores.score
    else:
        lower, upper = np.quantile(list(scores.probabilities.values()), _MIDDLE, axis=0)
    return (
        np.minimum(np.interp(lower, at, low), scores.probability),
        np.maximum(np.interp(upper, at, high), scores.probability),
    )
