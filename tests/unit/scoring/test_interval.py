"""The interval of a probability: it holds it, and is wider where the calibration is unsure or the members are apart."""

from __future__ import annotations

import numpy as np

from snw_dist.scoring.interval import probability_interval
from snw_dist.scoring.scores import Scores

BAND = np.array([[0.0, 0.0, 0.1], [0.5, 0.3, 0.5], [1.0, 0.8, 1.0]])


def scores(probability: list[float], **members: list[float]) -> Scores:
    each = {name: np.array(values) for name, values in members.items()}
    return Scores(np.mean(list(each.values()), axis=0), np.array(probability), each, each)


def test_of_one_member_it_is_the_band_at_its_score() -> None:
    low, high = probability_interval(scores([0.2, 0.4, 0.9], a=[0.25, 0.5, 7.0]), BAND)
    np.testing.assert_allclose(low, [0.15, 0.3, 0.8])
    np.testing.assert_allclose(high, [0.3, 0.5, 1.0])


def test_it_holds_the_probability() -> None:
    low, high = probability_interval(scores([0.05, 0.9], a=[0.5, 0.5]), BAND)
    assert low.tolist() == [0.05, 0.3]
    assert high.tolist() == [0.5, 0.9]


def test_members_that_are_apart_make_it_wider() -> None:
    near, far = (scores([0.4], a=[0.5 - by], b=[0.5 + by]) for by in (0.0, 0.2))
    assert [one.tolist() for one in probability_interval(near, BAND)] == [[0.3], [0.5]]
    low, high = probability_interval(far, BAND)
    lower, upper = 0.3 + 0.025 * 0.4, 0.7 - 0.025 * 0.4
    np.testing.assert_allclose(low, 0.6 * lower)
    np.testing.assert_allclose(high, upper)
