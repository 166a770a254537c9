"""Log-odds against scipy."""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logit

from snw_dist.log_odds import log_odds, probability_of

EPS = float(np.finfo(np.float64).eps)


def test_both_ways_are_those_of_scipy() -> None:
    odds = np.concatenate([np.linspace(-40, 40, 2_001), [-800.0, 800.0]])
    np.testing.assert_allclose(probability_of(odds), expit(odds), rtol=4 * EPS, atol=1e-300)
    probability = np.concatenate([np.linspace(0, 1, 2_001), [1e-300, 1e-6, 1 - 1e-6]])
    np.testing.assert_allclose(log_odds(probability), logit(probability), rtol=0, atol=1e-14)


def test_a_value_is_the_same_whatever_is_beside_it() -> None:
    """Bit for bit: a probability depends on nothing but its score."""
    odds = np.random.default_rng(0).normal(0, 5, 1_003)
    probability = probability_of(odds)
    assert [probability_of(odds[i : i + 1])[0] for i in range(0, 1_003, 17)] == probability[::17].tolist()
    assert [log_odds(probability[i : i + 1])[0] for i in range(0, 1_003, 17)] == log_odds(probability)[::17].tolist()
