import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from hpc.errors import CorruptError
from snw_dist.metrics.bootstrap import gap_interval, interval, plan_draws, repeat_metrics
from snw_dist.metrics.metrics import CLASS_METRICS, ENRICHMENT_PERCENT, METRICS, Sample, measure
from snw_dist.metrics.resampled import WeightedMetrics

OF_TWO_CLASSES = {*CLASS_METRICS, *ENRICHMENT_PERCENT, "bedroc"}


def written_out(sample, counts):
    """The pairs of each receptor as often as it was drawn, each time as a receptor of its own."""
    rows, receptor = [], []
    for number, count in enumerate(counts):
        for _ in range(int(count)):
            own = np.flatnonzero(sample.receptor == number)
            receptor += [len(set(receptor))] * own.size
            rows += own.tolist()
    arrays = (a[rows] for a in (sample.positive, sample.label, sample.score, sample.probability))
    return Sample(*arrays, np.array(receptor, dtype=np.int64), sample.threshold)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    num_pairs=st.integers(2, 60),
    levels=st.integers(1, 40),
    share=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    threshold=st.sampled_from([-1.0, 0.3, 0.5, 2.0, math.nan]),
)
def test_weighted_metrics_are_those_of_the_pairs_written_out(seed, num_pairs, levels, share, threshold):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, levels, num_pairs) / levels
    receptor = np.unique(rng.integers(0, 6, num_pairs), return_inverse=True)[1]
    label = rng.integers(0, levels, num_pairs) / levels
    sample = Sample(rng.random(num_pairs) < share, label, scores, scores**2, receptor, threshold)
    num_units = int(receptor.max()) + 1
    counts = rng.integers(0, 4, (num_units, 5)).astype(np.float64)
    counts[0] += counts.sum(axis=0) == 0
    found = WeightedMetrics(sample, receptor, num_units, by_receptor=True)(counts)
    for repeat in range(5):
        drawn = written_out(sample, counts[:, repeat])
        expected = measure(drawn)
        if drawn.positive.all() or not drawn.positive.any():
            expected |= dict.fromkeys(OF_TWO_CLASSES, math.nan)
        for name in METRICS:
            assert found[name][repeat] == pytest.approx(expected[name], abs=1e-9, nan_ok=True), name


def simulated(rng, num_pairs, shift=1.2, receptor=None):
    positive = np.arange(num_pairs) < num_pairs // 3
    score = rng.normal(size=num_pairs) + shift * positive
    receptor = np.zeros(num_pairs, dtype=np.int64) if receptor is None else receptor
    return Sample(positive, score + rng.normal(size=num_pairs), score, norm.cdf(score), receptor, 0.6)


def intervals(sample, repeats, seed, level=0.95):
    drawn = repeat_metrics(sample, plan_draws(sample.receptor, repeats, seed))
    return {name: interval(values, level) for name, values in drawn.items()}


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    truth = norm.cdf(1.2 / math.sqrt(2))  # AUROC of two normals of unit variance
    covered = 0
    for seed in range(200):
        low, high = intervals(simulated(rng, 150), 200, seed)["auroc"]
        covered += low <= truth <= high
    assert 0.90 <= covered / 200 <= 0.985


def test_value_lies_in_its_interval_and_a_wider_level_is_wider():
    sample = simulated(np.random.default_rng(1), 400, receptor=np.arange(400) % 80)
    values, narrow, wide = measure(sample), intervals(sample, 500, 1, level=0.5), intervals(sample, 500, 1)
    for name in set(METRICS) - {"ece"}:  # which is biased upwards, more so in a resample
        assert wide[name][0] <= narrow[name][0] <= narrow[name][1] <= wide[name][1]
        assert wide[name][0] <= values[name] <= wide[name][1]
    for name in {*CLASS_METRICS, "brier", "spearman", "pearson"}:  # the others have few values, or reach their end
        assert wide[name][0] < narrow[name][0] < narrow[name][1] < wide[name][1]


def test_dependent_pairs_need_the_clustered_interval():
    rng = np.random.default_rng(2)
    receptor = np.repeat(np.arange(20), 40)
    # Receptors differ in how well they are predicted: the pairs of one receptor err together.
    positive = rng.random(800) < 0.3
    score = positive * (1 + np.repeat(rng.normal(size=20), 40)) + rng.normal(size=800)
    width = {}
    for name, groups in (("receptor", receptor), ("pair", np.zeros_like(receptor))):
        assert plan_draws(groups, 1, 1).unit == name
        sample = Sample(positive, score, score, norm.cdf(score), groups, 0.5)
        width[name] = np.ptp(intervals(sample, 400, 1)["auroc"])
    assert width["receptor"] > 1.5 * width["pair"]


def test_receptors_are_drawn_whole():
    # Two receptors, each separable by itself: whatever is drawn, AUROC is that of one or of both together.
    score = np.array([0.2, 0.1, 0.9, 0.8])
    sample = Sample(np.array([True, False, True, False]), score, score, score, np.array([0, 0, 1, 1]), 0.5)
    assert set(repeat_metrics(sample, plan_draws(sample.receptor, 200, 1))["auroc"]) == {0.75, 1.0}


def test_one_receptor_falls_back_to_pairs():
    sample = simulated(np.random.default_rng(4), 90)
    draws = plan_draws(sample.receptor, 100, 7)
    assert (draws.unit, draws.num_units) == ("pair", 90)
    drawn = repeat_metrics(sample, draws)
    assert np.isnan(drawn["hit_1"]).all()  # of a single receptor there is no spread
    assert not np.isnan(drawn["auroc"]).any()


def test_draws_are_the_same_for_every_set_of_scores_and_depend_on_the_seed():
    sample = simulated(np.random.default_rng(5), 300, receptor=np.arange(300) % 30)
    draws = plan_draws(sample.receptor, 200, 11)
    first = repeat_metrics(sample, draws)
    assert all(np.array_equal(first[n], repeat_metrics(sample, draws)[n], equal_nan=True) for n in METRICS)
    assert (first["auroc"] != repeat_metrics(sample, plan_draws(sample.receptor, 200, 12))["auroc"]).any()
    counts = np.concatenate(list(draws.chunks()), axis=1)
    assert counts.shape == (30, 200)
    assert (counts.sum(axis=0) == 30).all()
    mean_square = (counts**2).mean()
    assert mean_square == pytest.approx(2 - 1 / 30, abs=0.1)  # of a multinomial with 30 draws from 30


def test_many_pairs_are_drawn_in_chunks():
    counts = list(plan_draws(np.zeros(2**17, dtype=np.int64), 5, 1).chunks())
    assert [chunk.shape for chunk in counts] == [(2**17, 2), (2**17, 2), (2**17, 1)]


def test_order_of_pairs_changes_nothing():
    sample = simulated(np.random.default_rng(5), 300, receptor=np.arange(300) % 30)
    mixed = np.random.default_rng(0).permutation(300)
    arrays = (a[mixed] for a in (sample.positive, sample.label, sample.score, sample.probability, sample.receptor))
    first, second = (repeat_metrics(s, plan_draws(s.receptor, 50, 1)) for s in (sample, Sample(*arrays, 0.6)))
    for name in METRICS:
        np.testing.assert_allclose(first[name], second[name], atol=1e-12)


def test_repeats_of_one_class_are_left_out():
    score = np.array([0.9, 0.1, 0.2, 0.3])
    sample = Sample(np.array([True, False, False, False]), score, score, score, np.zeros(4, dtype=np.int64), 0.5)
    drawn = repeat_metrics(sample, plan_draws(sample.receptor, 4000, 1))
    assert np.isnan(drawn["auroc"]).mean() == pytest.approx(0.75**4 + 0.25**4, abs=0.03)
    assert interval(drawn["auroc"]) == (1.0, 1.0)
    assert not np.isnan(drawn["brier"]).any()


def test_no_repeats_no_interval():
    sample = simulated(np.random.default_rng(6), 60)
    assert all(math.isnan(bound) for bounds in intervals(sample, 0, 1).values() for bound in bounds)


def test_damaged_scores_are_refused():
    values = np.array([math.nan, 0.1])
    sample = Sample(np.array([True, False]), values, values, values, np.zeros(2, dtype=np.int64), 0.5)
    with pytest.raises(CorruptError, match="1 of 2 scores"):
        repeat_metrics(sample, plan_draws(sample.receptor, 10, 1))


@pytest.mark.parametrize(("power", "covered"), [(1.0, 6), (2.0, 24)])
def test_the_interval_of_a_calibration_error_holds_it_and_the_truth(power, covered):
    """30 samples of 30 receptors with 40 pairs, of probabilities that are right, and of others that are not."""
    rng = np.random.default_rng(3)
    chance = rng.beta(1, 3, (30, 1200))
    receptor = np.repeat(np.arange(30), 40)
    truth = float(np.abs(chance - chance**power).mean())
    found, plain = 0, 0
    for row in chance:
        positive = rng.random(row.size) < row
        sample = Sample(positive, positive * 1.0, row, row**power, receptor, 0.5)
        value, repeats = measure(sample)["ece"], repeat_metrics(sample, plan_draws(receptor, 200, 1))["ece"]
        low, high = gap_interval(value, repeats)
        assert 0 <= low <= value <= high
        found += low <= truth + 0.002 <= high
        plain += interval(repeats)[0] <= truth + 0.002 <= interval(repeats)[1]
    assert found >= covered
    assert plain == 0 if power == 1 else plain <= found


def test_the_interval_of_a_calibration_error_that_is_not_defined():
    assert np.isnan(gap_interval(math.nan, np.array([math.nan]))).all()
    assert np.isnan(gap_interval(math.nan, np.empty(0))).all()
    assert gap_interval(0.0, np.array([0.01, 0.02, 0.03])) == pytest.approx((0.0, 0.0095))
