"""What is said of scored pairs: the scores of the members, and what they come to together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from snw_dist.arrays import FloatArray, IntArray
from snw_dist.bundle.format import MeanEntry
from snw_dist.predict.calibration import Calibration


@dataclass(frozen=True)
class Scores:
    """Scored pairs, in the order in which they were given; every array is [pairs] float64."""

    score: FloatArray
    """In [0, 1], higher is closer: that of the network, or of several members the mean of their probabilities."""
    probability: FloatArray
    """That the pair is positive, calibrated on validation."""
    members: dict[str, FloatArray]
    """Member -> the score of its network."""
    probabilities: dict[str, FloatArray]
    """Member -> its own calibrated probability."""

    def at(self, places: IntArray) -> Scores:
        """Those of some pairs; places: [n], counted from 0."""
        members, probabilities = (
            {name: values[places] for name, values in one.items()} for one in (self.members, self.probabilities)
        )
        return Scores(self.score[places], self.probability[places], members, probabilities)


def together(
    scores: Mapping[str, FloatArray], calibrations: Mapping[str, Calibration], mean: MeanEntry | None
) -> Scores:
    """The members as one; scores: member -> [pairs]. `mean` is None of a single one, which stands for itself."""
    probabilities = {name: calibrations[name](values) for name, values in scores.items()}
    if mean is None:
        [(name, score)] = scores.items()
        return Scores(score, probabilities[name], dict(scores), probabilities)
    score = np.mean(list(probabilities.values()), axis=0)
    return Scores(score, mean.calibration.calibration(score), dict(scores), probabilities)
