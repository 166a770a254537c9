import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpc.errors import CorruptError
from snw_dist.metrics.metrics import (
    METRICS,
    Sample,
    choose_threshold,
    classification_metrics,
    correlations,
    early_recognition,
    hit_probability,
    hit_rates,
    measure,
    probability_metrics,
)
from tests.kit import references

SEEDS = st.integers(0, 2**32 - 1)
RANDOM = settings(max_examples=60, deadline=None, derandomize=True)


def drawn(seed, num_pairs, levels, share=0.4):
    """Flags, labels and scores with few distinct values, so with ties; one class where the share is 0 or 1."""
    rng = np.random.default_rng(seed)
    positive = rng.random(num_pairs) < share
    return positive, rng.integers(0, levels + 1, num_pairs) / levels, rng.integers(0, levels, num_pairs) / levels


def close(value):
    return pytest.approx(value, abs=1e-9, nan_ok=True)


@RANDOM
@given(
    SEEDS, st.integers(1, 60), st.integers(1, 40), st.sampled_from([0.0, 0.1, 0.5, 1.0]), st.sampled_from([0, 0.5, 2])
)
def test_classification_metrics_are_those_of_the_definitions(seed, num_pairs, levels, share, threshold):
    positive, _, scores = drawn(seed, num_pairs, levels, share)
    found = classification_metrics(positive, scores, threshold)
    one_class = positive.all() or not positive.any()
    assert found["auroc"] == close(math.nan if one_class else references.brute_auroc(positive, scores))
    assert found["auprc"] == close(math.nan if one_class else references.brute_average_precision(positive, scores))
    assert found["f1"] == close(references.brute_f1(positive, scores, threshold))
    assert found["mcc"] == close(references.brute_mcc(positive, scores, threshold))


@RANDOM
@given(SEEDS, st.integers(1, 80), st.integers(1, 100), st.sampled_from([0.0, 0.3, 1.0]))
def test_probability_metrics_are_those_of_sklearn_and_torchmetrics(seed, num_pairs, levels, share):
    positive, _, scores = drawn(seed, num_pairs, levels, share)
    probability = 0.99 * scores + math.pi / 1000  # on no edge of a bin, which the float32 edges of torch round
    found = probability_metrics(positive, probability)
    assert found["brier"] == close(references.brier(positive, probability))
    assert found["ece"] == close(references.calibration_error(positive, probability))


def test_certainty_is_in_the_last_bin():
    # .95 and 1 share it: their mean is .975, one of them is positive.
    assert probability_metrics([True, False], [1.0, 0.95])["ece"] == close(0.475)


@RANDOM
@given(SEEDS, st.integers(1, 50), st.integers(1, 20))
def test_correlations_are_those_of_scipy(seed, num_pairs, levels):
    _, label, scores = drawn(seed, num_pairs, levels)
    found = correlations(label, scores)
    constant = len(set(label)) < 2 or len(set(scores)) < 2
    assert found["spearman"] == close(math.nan if constant else references.spearman(label, scores))
    assert found["pearson"] == close(math.nan if constant else references.pearson(label, scores))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(SEEDS, st.integers(1, 6), st.integers(1, 5), st.sampled_from([0.0, 0.5, 1.0]))
def test_early_recognition_is_the_mean_over_the_orders_of_ties(seed, num_pairs, levels, share):
    positive, _, scores = drawn(seed, num_pairs, levels, share)
    found = early_recognition(positive, scores)
    if positive.all() or not positive.any():
        assert all(math.isnan(value) for value in found.values())
        return
    for name, percent in (("ef_1", 1), ("ef_5", 5)):
        expected = references.over_orders(partial(references.enrichment_of, percent=percent), positive, scores)
        assert found[name] == close(expected)
    assert found["bedroc"] == close(references.over_orders(references.bedroc_of, positive, scores))


@RANDOM
@given(SEEDS, st.integers(2, 700), st.sampled_from([0.02, 0.5, 0.98]))
def test_early_recognition_without_ties(seed, num_pairs, share):
    positive = np.random.default_rng(seed).random(num_pairs) < share
    if positive.all() or not positive.any():
        return
    found = early_recognition(positive, -np.arange(num_pairs))
    assert found["ef_1"] == close(references.enrichment_of(positive, 1))
    assert found["ef_5"] == close(references.enrichment_of(positive, 5))
    assert found["bedroc"] == close(references.bedroc_of(positive))


def test_bedroc_runs_from_0_to_1():
    positive = np.arange(100) < 10
    assert early_recognition(positive, -np.arange(100))["bedroc"] == close(1.0)
    assert early_recognition(positive, np.arange(100))["bedroc"] == close(0.0)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(SEEDS, st.integers(1, 10), st.integers(1, 3), st.sampled_from([0.0, 0.3, 1.0]))
def test_hits_are_those_of_torchmetrics_over_the_orders_of_ties(seed, num_pairs, levels, share):
    positive, _, scores = drawn(seed, num_pairs, levels, share)
    receptor = np.random.default_rng(seed).integers(0, 3, num_pairs)
    found = hit_rates(positive, scores, receptor)
    for name, k in (("hit_1", 1), ("hit_5", 5)):
        assert found[name] == close(references.hit_rate(positive, scores, receptor, k))


def test_hits_of_each_receptor():
    positive = [True, False, False, False, True, False]
    scores = [0.9, 0.1, 0.5, 0.4, 0.4, 0.4]
    found = hit_probability(positive, scores, [0, 0, 1, 3, 3, 3], 1)  # no pair of receptor 2, no positive of 1
    np.testing.assert_allclose(found, [1.0, math.nan, math.nan, 1 / 3])


def test_measure_gives_every_metric():
    positive, label, scores = drawn(3, 200, 30)
    found = measure(Sample(positive, label, scores, scores, np.arange(200) % 7, 0.5))
    assert list(found) == list(METRICS)
    assert not any(math.isnan(value) for value in found.values())


@pytest.mark.parametrize("seed", range(20))
def test_threshold_is_the_highest_of_those_with_the_largest_f1(seed):
    positive, _, scores = drawn(seed, 60, 5)
    f1 = {threshold: references.brute_f1(positive, scores, threshold) for threshold in set(scores)}
    largest = max(f1.values())
    assert choose_threshold(positive, scores) == max(t for t, value in f1.items() if value == largest)


def test_threshold_tie_takes_the_fewest_calls():
    # One call: 2/(1+2); all four: 4/(4+2). Both are 2/3.
    assert choose_threshold([True, False, False, True], [0.9, 0.8, 0.7, 0.1]) == 0.9


def test_threshold_without_positives_is_undefined():
    assert math.isnan(choose_threshold([False, False], [0.1, 0.2]))
    assert math.isnan(choose_threshold([], []))


def test_threshold_with_only_positives_calls_all():
    assert choose_threshold([True, True, True], [0.3, 0.1, 0.2]) == 0.1


def test_no_pairs_and_no_threshold_are_undefined():
    nothing = Sample(*(np.zeros(0) for _ in range(4)), np.zeros(0, dtype=np.int64), 0.5)
    assert all(math.isnan(value) for value in measure(nothing).values())
    metrics = classification_metrics([True, False], [0.2, 0.1], math.nan)
    assert metrics["auroc"] == 1.0
    assert math.isnan(metrics["mcc"])
    assert math.isnan(metrics["f1"])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_damaged_scores_are_counted(bad):
    scores, positive = [0.1, bad, 0.3, bad], [True, False, True, False]
    for call in (
        lambda: classification_metrics(positive, scores, 0.5),
        lambda: choose_threshold(positive, scores),
        lambda: correlations([0.0, 1.0, 2.0, 3.0], scores),
        lambda: early_recognition(positive, scores),
        lambda: hit_rates(positive, scores, [0, 0, 1, 1]),
        lambda: probability_metrics(positive, scores),
    ):
        with pytest.raises(CorruptError, match="2 of 4 scores are not finite"):
            call()


def test_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match="equal"):
        classification_metrics([True], [0.1, 0.2], 0.5)
    with pytest.raises(ValueError, match="equal"):
        correlations([0.1], [0.1, 0.2])
