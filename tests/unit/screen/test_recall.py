"""The recall of the first stage: its interval is exact, and holds the truth as often as it says."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.stats import binomtest

from snw_dist.screen.recall import Recall, said_of, sample_size, share_interval


@pytest.mark.parametrize(("count", "num"), [(0, 10), (3, 10), (10, 10), (1, 1), (5, 41_000), (40_999, 41_000)])
def test_the_interval_is_that_of_clopper_and_pearson(count: int, num: int) -> None:
    right = binomtest(count, num).proportion_ci(method="exact")
    np.testing.assert_allclose(share_interval(count, num), (right.low, right.high), rtol=1e-9)


def test_the_interval_holds_the_truth_at_least_as_often_as_it_says() -> None:
    """8 receptors that differ: of 2,000 others of each so many would be hits, beside 50 that are."""
    missed, others, each = np.array([0, 0, 1, 5, 10, 40, 100, 300]), 2000, 100
    truth, draw, inside = 400 / (400 + missed.sum()), np.random.default_rng(5), 0
    seen = draw.hypergeometric(missed, others - missed, each, size=(1000, 8)).sum(axis=1)
    for count, times in Counter(seen.tolist()).items():
        found = Recall(50, 8 * others, np.ones(400, dtype=int), 8 * each, np.full(count, 60.0)).interval
        assert found is not None
        recall, low, high = found
        assert low <= recall <= high
        inside += times * (low <= truth <= high)
    assert 950 <= inside < 1000


def test_the_recall_at_other_numbers_counts_hits_and_the_sample() -> None:
    found = Recall(100, 1000, np.array([1, 7, 30, 30, 90]), 100, np.array([150.0, 300.0]))
    assert found.interval is not None
    assert found.interval[0] == 5 / 25, "each of the sample stands for 10 others"
    assert found.choices(10_000, 10) == {13: 2 / 25, 25: 2 / 25, 50: 4 / 25, 100: 5 / 25, 200: 15 / 25, 400: 1.0}
    assert list(found.choices(200, 50)) == [50, 100], "no fewer than --top, and less than all"


def test_it_is_exact_where_all_were_looked_at() -> None:
    everything = Recall(5, 20, np.ones(10, dtype=int), 20, np.array([7.0, 9.0]))
    assert everything.interval == (10 / 12,) * 3
    assert Recall(25, 0, np.ones(10, dtype=int), 0, np.zeros(0)).interval == (1.0, 1.0, 1.0)
    assert Recall(5, 20, np.zeros(0, dtype=int), 10, np.zeros(0)).interval is None


@pytest.mark.parametrize(
    ("sizes", "each"), [((50, 4, 50), 0), ((300, 4, 50), 250), ((9999, 5000, 90), 9), ((10**6, 3, 10_000), 1000)]
)
def test_a_tenth_as_many_are_sampled_but_not_less_than_a_thousand_pairs(sizes: tuple[int, ...], each: int) -> None:
    assert sample_size(*sizes) == each


def test_it_is_told_in_words() -> None:
    binders = {"known_binders": {"split": "test", "binders": 20, "passed_on": 17}}
    said = Recall(100, 1000, np.ones(98, dtype=int), 100, np.array([150.0])).said(10_000, 100) | binders
    first, second, third = said_of(said)
    assert third == "of 20 known binders of these receptors (split test) the first stage would pass on 17 (85.0%)"
    assert "the lists have 90.7% (95 % interval: 64.3% to 99.7%) of what would be there" in first
    assert "of 100 of the 1,000 others 1 would be hits" in first
    assert second == "an estimate for other numbers of --rerank-top: 100: 90.7%, 200: 100.0%, 400: 100.0%"
    [all_seen] = said_of(Recall(100, 0, np.ones(98, dtype=int), 0, np.zeros(0)).said(100, 1))
    assert "has scored every pair" in all_seen
    why = {"known_binders": {"why": "better has no calibration pairs"}}
    nothing, third = said_of(Recall(100, 1000, np.zeros(0, dtype=int), 50, np.zeros(0)).said(200, 1) | why)
    assert third == "how many known binders the first stage passes on is not told: better has no calibration pairs"
    assert "would have none among 50 of the 1,000 pairs that it left out" in nothing
