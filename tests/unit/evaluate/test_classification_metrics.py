import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from hpc.errors import CorruptError
from snw_dist.evaluate.metrics import choose_threshold, classification_metrics, spearman


def brute_f1(positive, scores, threshold):
    called = scores >= threshold
    tp = np.count_nonzero(called & positive)
    return 2 * tp / (np.count_nonzero(called) + np.count_nonzero(positive))


def brute_auroc(positive, scores):
    difference = scores[positive][:, None] - scores[~positive][None, :]
    return np.mean((difference > 0) + 0.5 * (difference == 0))


def brute_average_precision(positive, scores):
    total, last_recall = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        called = scores >= threshold
        recall = np.mean(called[positive])
        total += (recall - last_recall) * np.mean(positive[called])
        last_recall = recall
    return total


def tied(seed, num_pairs=60, levels=9):
    rng = np.random.default_rng(seed)
    return rng.random(num_pairs) < 0.4, rng.integers(0, levels, num_pairs) / 7


@pytest.mark.parametrize("seed", range(20))
def test_threshold_is_the_highest_of_those_with_the_largest_f1(seed):
    positive, scores = tied(seed, levels=5)
    f1 = {threshold: brute_f1(positive, scores, threshold) for threshold in set(scores)}
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


@pytest.mark.parametrize("seed", range(10))
def test_metrics_agree_with_their_definitions(seed):
    positive, scores = tied(seed)
    threshold = 0.5
    metrics = classification_metrics(positive, scores, threshold)
    called = scores >= threshold
    assert metrics["auroc"] == pytest.approx(brute_auroc(positive, scores), abs=1e-12)
    assert metrics["auprc"] == pytest.approx(brute_average_precision(positive, scores), abs=1e-12)
    assert metrics["f1"] == pytest.approx(brute_f1(positive, scores, threshold), abs=1e-12)
    assert metrics["mcc"] == pytest.approx(np.corrcoef(positive, called)[0, 1], abs=1e-12)


@pytest.mark.parametrize("positive", [[True] * 4, [False] * 4])
@pytest.mark.parametrize("threshold", [0.0, 0.25, 1.0])
def test_single_class_is_undefined_not_a_warning(positive, threshold):
    metrics = classification_metrics(positive, [0.1, 0.2, 0.3, 0.4], threshold)
    assert math.isnan(metrics["auroc"])
    assert math.isnan(metrics["auprc"])
    assert metrics["mcc"] == 0.0
    called = sum(score >= threshold for score in (0.1, 0.2, 0.3, 0.4))
    assert metrics["f1"] == (2 * called / (called + 4) if positive[0] else 0.0)


def test_nothing_called_gives_zero_mcc_and_f1():
    metrics = classification_metrics([True, False], [0.1, 0.2], 0.9)
    assert (metrics["mcc"], metrics["f1"]) == (0.0, 0.0)
    assert metrics["auroc"] == 0.0


def test_no_pairs_and_no_threshold_are_undefined():
    assert all(math.isnan(value) for value in classification_metrics([], [], 0.5).values())
    metrics = classification_metrics([True, False], [0.2, 0.1], math.nan)
    assert metrics["auroc"] == 1.0
    assert math.isnan(metrics["mcc"])
    assert math.isnan(metrics["f1"])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_damaged_scores_are_counted(bad):
    scores = [0.1, bad, 0.3, bad]
    for call in (
        lambda: classification_metrics([True, False, True, False], scores, 0.5),
        lambda: choose_threshold([True, False, True, False], scores),
        lambda: spearman([0.0, 1.0, 2.0, 3.0], scores),
    ):
        with pytest.raises(CorruptError, match="2 of 4 scores are not finite"):
            call()


def test_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match="equal"):
        classification_metrics([True], [0.1, 0.2], 0.5)
    with pytest.raises(ValueError, match="equal"):
        spearman([0.1], [0.1, 0.2])


@pytest.mark.parametrize("seed", range(5))
def test_spearman_agrees_with_scipy(seed):
    rng = np.random.default_rng(seed)
    label, scores = rng.integers(0, 6, 50) / 5, rng.integers(0, 9, 50) / 8
    assert spearman(label, scores) == pytest.approx(spearmanr(label, scores).statistic, abs=1e-12)


def test_spearman_of_a_constant_is_undefined():
    assert math.isnan(spearman([0.5, 0.5, 0.5], [0.1, 0.2, 0.3]))
    assert math.isnan(spearman([0.1, 0.2, 0.3], [0.5, 0.5, 0.5]))
    assert math.isnan(spearman([0.1], [0.5]))
