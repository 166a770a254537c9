import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import average_precision_score, f1_score, matthews_corrcoef, roc_auc_score

from hpc.errors import CorruptError
from snw_dist.evaluate.bootstrap import bootstrap_intervals, sort_pairs, weighted_metrics
from snw_dist.evaluate.metrics import METRIC_NAMES, classification_metrics


def reference(positive, scores, threshold, weights):
    called = scores >= threshold
    kept = weights > 0
    constant = len(set(called[kept])) < 2
    return {
        "auroc": roc_auc_score(positive, scores, sample_weight=weights),
        "auprc": average_precision_score(positive, scores, sample_weight=weights),
        "mcc": 0.0 if constant else matthews_corrcoef(positive, called, sample_weight=weights),
        "f1": f1_score(positive, called, sample_weight=weights, zero_division=0.0),
    }


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    num_pairs=st.integers(2, 80),
    levels=st.integers(1, 40),
    most=st.integers(1, 6),
    threshold=st.sampled_from([-1.0, 0.0, 0.3, 0.5, 1.0, 2.0]),
)
def test_weighted_metrics_are_those_of_sklearn(seed, num_pairs, levels, most, threshold):
    rng = np.random.default_rng(seed)
    positive = rng.random(num_pairs) < 0.4
    scores = rng.integers(0, levels, num_pairs) / levels
    weights = rng.integers(0, most + 1, (4, num_pairs))
    pairs = sort_pairs(positive, scores, threshold)
    measured = weighted_metrics(pairs, weights[:, pairs.order])
    for row, drawn in enumerate(weights):
        if drawn[positive].sum() and drawn[~positive].sum():
            expected = reference(positive, scores, threshold, drawn)
            for name in METRIC_NAMES:
                assert measured[name][row] == pytest.approx(expected[name], abs=1e-12), name
        else:
            assert all(math.isnan(measured[name][row]) for name in METRIC_NAMES)


def test_weights_of_one_give_the_plain_metrics():
    rng = np.random.default_rng(3)
    positive, scores = rng.random(500) < 0.2, rng.normal(size=500).round(1)
    pairs = sort_pairs(positive, scores, 0.4)
    measured = weighted_metrics(pairs, np.ones((1, 500), dtype=np.int64))
    for name, value in classification_metrics(positive, scores, 0.4).items():
        assert measured[name][0] == pytest.approx(value, abs=1e-12)


def simulated(rng, num_pairs, shift=1.2):
    positive = np.arange(num_pairs) < num_pairs // 3
    return positive, rng.normal(size=num_pairs) + shift * positive


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    truth = norm.cdf(1.2 / math.sqrt(2))  # AUROC of two normals of unit variance
    covered = 0
    for seed in range(200):
        positive, scores = simulated(rng, 150)
        low, high = bootstrap_intervals(positive, scores, 0.6, None, 200, seed).intervals["auroc"]
        covered += low <= truth <= high
    assert 0.90 <= covered / 200 <= 0.985


def test_value_lies_in_its_interval_and_a_wider_level_is_wider():
    positive, scores = simulated(np.random.default_rng(1), 400)
    values = classification_metrics(positive, scores, 0.6)
    narrow = bootstrap_intervals(positive, scores, 0.6, None, 500, 1, level=0.5).intervals
    wide = bootstrap_intervals(positive, scores, 0.6, None, 500, 1).intervals
    for name in METRIC_NAMES:
        assert wide[name][0] < narrow[name][0] < narrow[name][1] < wide[name][1]
        assert wide[name][0] < values[name] < wide[name][1]


def test_dependent_pairs_need_the_clustered_interval():
    rng = np.random.default_rng(2)
    groups = np.repeat([f"receptor {i}" for i in range(20)], 40)
    affinity = np.repeat(rng.normal(size=20), 40)
    # Receptors differ in how well they are predicted: the pairs of one receptor err together.
    positive = rng.random(800) < 0.3
    scores = positive * (1 + affinity) + rng.normal(size=800)
    clustered = bootstrap_intervals(positive, scores, 0.5, groups, 400, 1)
    single = bootstrap_intervals(positive, scores, 0.5, None, 400, 1)
    assert (clustered.unit, clustered.num_units) == ("group", 20)
    assert (single.unit, single.num_units) == ("pair", 800)
    width = {r.unit: np.ptp(r.intervals["auroc"]) for r in (clustered, single)}
    assert width["group"] > 1.5 * width["pair"]


def test_groups_are_drawn_whole():
    # Two groups, each separable by itself: whatever is drawn, AUROC is that of one group or of both together.
    positive = np.array([True, False, True, False])
    scores = np.array([0.2, 0.1, 0.9, 0.8])
    low, high = bootstrap_intervals(positive, scores, 0.5, ["a", "a", "b", "b"], 200, 1).intervals["auroc"]
    assert (low, high) == (0.75, 1.0)


def test_one_group_falls_back_to_pairs_and_says_so():
    positive, scores = simulated(np.random.default_rng(4), 90)
    alone = bootstrap_intervals(positive, scores, 0.5, ["a"] * 90, 100, 7)
    assert alone == bootstrap_intervals(positive, scores, 0.5, None, 100, 7)
    assert alone.unit == "pair"


def test_same_seed_same_intervals_and_other_seed_others():
    positive, scores = simulated(np.random.default_rng(5), 300)
    groups = np.arange(300) % 30
    first = bootstrap_intervals(positive, scores, 0.5, groups, 200, 11)
    assert first == bootstrap_intervals(positive, scores, 0.5, groups, 200, 11)
    assert first.intervals != bootstrap_intervals(positive, scores, 0.5, groups, 200, 12).intervals


def test_order_of_pairs_changes_nothing_for_groups():
    positive, scores = simulated(np.random.default_rng(5), 300)
    groups = np.arange(300) % 30
    mixed = np.random.default_rng(0).permutation(300)
    first = bootstrap_intervals(positive, scores, 0.5, groups, 100, 1)
    assert first == bootstrap_intervals(positive[mixed], scores[mixed], 0.5, groups[mixed], 100, 1)


def test_repeats_of_one_class_are_dropped_and_counted():
    positive = np.array([True, False, False, False])
    result = bootstrap_intervals(positive, [0.9, 0.1, 0.2, 0.3], 0.5, None, 4000, 1)
    assert result.dropped / 4000 == pytest.approx(0.75**4 + 0.25**4, abs=0.03)
    assert result.intervals["auroc"] == (1.0, 1.0)


def test_what_cannot_be_resampled_is_undefined():
    both = ([True, False], [0.9, 0.1])
    alone = ([True, True], [0.9, 0.1])
    for (positive, scores), repeats, dropped in ((alone, 10, 10), (both, 0, 0), (([], []), 10, 0)):
        result = bootstrap_intervals(positive, scores, 0.5, None, repeats, 1)
        assert result.dropped == dropped
        assert all(math.isnan(bound) for interval in result.intervals.values() for bound in interval)


def test_undefined_threshold_leaves_the_ranking_metrics():
    positive, scores = simulated(np.random.default_rng(6), 60)
    intervals = bootstrap_intervals(positive, scores, math.nan, None, 50, 1).intervals
    assert math.isnan(intervals["f1"][0])
    assert math.isnan(intervals["mcc"][1])
    assert intervals["auroc"][0] < intervals["auroc"][1]


def test_bad_arguments_are_refused():
    with pytest.raises(CorruptError, match="1 of 2 scores"):
        bootstrap_intervals([True, False], [math.nan, 0.1], 0.5, None, 10, 1)
    with pytest.raises(ValueError, match="groups"):
        bootstrap_intervals([True, False], [0.2, 0.1], 0.5, ["a"], 10, 1)
    with pytest.raises(ValueError, match="level"):
        bootstrap_intervals([True, False], [0.2, 0.1], 0.5, None, 10, 1, level=1.0)
    with pytest.raises(ValueError, match="repeats"):
        bootstrap_intervals([True, False], [0.2, 0.1], 0.5, None, -1, 1)
