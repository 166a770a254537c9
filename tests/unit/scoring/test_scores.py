"""What the scores of several members come to."""

from __future__ import annotations

import numpy as np

from snw_dist.bundle.format import MeanEntry
from snw_dist.predict.calibration import Calibration, CalibrationFields
from snw_dist.scoring.scores import together


def test_one_member_stands_for_itself() -> None:
    score = np.array([0.2, 0.9])
    found = together({"a": score}, {"a": Calibration("temperature", 2.0)}, None)
    np.testing.assert_array_equal(found.score, score)
    np.testing.assert_array_equal(found.probability, Calibration("temperature", 2.0)(score))
    assert list(found.members) == list(found.probabilities) == ["a"]


def test_several_are_the_mean_of_their_probabilities_calibrated_again() -> None:
    scores = {"a": np.array([0.2, 0.9]), "b": np.array([0.4, 0.5])}
    each = {"a": Calibration("temperature", 2.0), "b": Calibration("none")}
    mean = MeanEntry(0.5, CalibrationFields("isotonic", None, [[0.0, 0.0], [1.0, 0.5]]))
    found = together(scores, each, mean)
    np.testing.assert_allclose(found.score, (each["a"](scores["a"]) + scores["b"]) / 2)
    np.testing.assert_allclose(found.probability, found.score / 2)
    np.testing.assert_array_equal(found.members["b"], scores["b"])
