"""Figures and intervals of pairs whose sides mean nothing: a protein counts whichever side it stands on."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from snw_dist.evaluate.measure.held_out import STRATA
from snw_dist.evaluate.measure.measured import describe, measure_scores, parts_of
from snw_dist.metrics.bootstrap import interval, plan_draws, repeat_metrics
from snw_dist.metrics.metrics import METRICS, Sample, measure


def symmetric_pairs(num_proteins: int = 20, num_pairs: int = 150, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    ends = rng.integers(0, num_proteins, (num_pairs, 2))
    label = rng.random(num_pairs)
    columns = {side: [f"P{i:03}" for i in end] for side, end in zip(("ligand", "receptor"), ends.T, strict=True)}
    split = np.where(np.arange(num_pairs) % 3 == 0, "val", "test")
    return pd.DataFrame({**columns, "label": label, "positive": label > 0.5, "split": split, "stratum": STRATA[0]})


def some_exchanged(pairs: pd.DataFrame) -> pd.DataFrame:
    turn = np.random.default_rng(9).random(len(pairs)) < 0.5
    ligand = np.where(turn, pairs["receptor"], pairs["ligand"])
    return pairs.assign(ligand=ligand, receptor=np.where(turn, pairs["ligand"], pairs["receptor"]))


def test_no_figure_and_no_interval_depends_on_the_side() -> None:
    pairs = symmetric_pairs()
    scores = np.random.default_rng(1).random(len(pairs)) + pairs["label"].to_numpy()
    found = []
    for given in (pairs, some_exchanged(pairs)):
        parts = parts_of(given, 50, 1, symmetric=True)
        found.append((measure_scores(given, parts, scores, 1).splits, describe(given, parts)))
    np.testing.assert_equal(found[0], found[1])
    facts = found[0][1]["test"]
    test = pairs[pairs["split"] == "test"]
    assert facts["num_receptors"] == len({*test["ligand"], *test["receptor"]})
    assert facts["bootstrap"]["unit"] == "protein"
    apart = [measure_scores(g, parts_of(g, 50, 1), scores, 1).splits for g in (pairs, some_exchanged(pairs))]
    assert apart[0]["test"]["metrics"]["auroc"] != apart[1]["test"]["metrics"]["auroc"]


def test_a_pair_is_there_as_often_as_its_two_proteins_together() -> None:
    one, other = np.array([0, 1, 2, 2]), np.array([1, 2, 0, 2])
    draws = plan_draws(one, 300, 1, other)
    counts = np.concatenate(list(draws.chunks()), axis=1)
    assert counts.shape == (4, 300)
    of_each = {tuple(sorted(c)) for c in counts[:3].T.tolist()}
    assert of_each == {(0, 0, 0), (0, 0, 2), (1, 1, 1)}  # of three proteins drawn: one thrice, one twice, or each once
    assert set(counts[3].tolist()) == {0.0, 1.0, 2.0, 3.0}  # a protein with itself: once for each time it is drawn


def test_a_hit_counts_for_both_proteins_and_once_for_a_pair_of_one() -> None:
    score = np.array([0.9, 0.8, 0.1, 0.7])
    positive = np.array([False, True, True, True])
    # The best pair of 0 and of 1 is no positive; that of 2 is (1, 2); 3 is bound to itself alone.
    sample = Sample(positive, score, score, score, np.array([0, 1, 0, 3]), 0.5, np.array([1, 2, 2, 3]))
    assert measure(sample)["hit_1"] == pytest.approx(2 / 4)
    drawn = repeat_metrics(sample, plan_draws(sample.receptor, 20, 1, sample.other_end))
    assert np.isnan(drawn["hit_1"]).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("ends", [([0], [1]), ([0, 0], [1, 2]), ([0, 2], [1, 3]), ([0, 1], [0, 1])])
def test_repeats_without_any_pair_are_undefined_and_no_error(ends: tuple[list[int], list[int]]) -> None:
    one, other = (np.array(end) for end in ends)
    values = np.linspace(0.2, 0.8, one.size)
    sample = Sample(values > 0.5, values, values, values, one, 0.5, other)
    drawn = repeat_metrics(sample, plan_draws(one, 200, 1, other))
    assert set(drawn) == set(METRICS)
    assert all(len(found) == 200 for found in drawn.values())
    assert all(math.isnan(edge) or 0 <= edge <= 1 for edge in interval(drawn["brier"]))


def test_intervals_by_protein_are_wide_enough_where_pairs_of_a_protein_err_together() -> None:
    """By one side of each pair they are too narrow: a protein is on the other side in half of its pairs.

    Scores and labels follow the proteins and not each other: the truth is 0.5, and by pairs one would not believe it.
    """
    rng = np.random.default_rng(3)
    missed = dict.fromkeys(("protein", "receptor"), 0)
    for seed in range(100):
        one, other = rng.integers(0, 30, (2, 300))
        bound, high = rng.normal(size=(2, 30))
        positive = bound[one] + bound[other] + rng.normal(size=300) > 0
        score = high[one] + high[other] + rng.normal(size=300)
        sample = Sample(positive, score, score, norm.cdf(score), one, 0.5)
        for name, end in (("protein", other), ("receptor", None)):
            low, top = interval(repeat_metrics(sample, plan_draws(one, 100, seed, end))["auroc"])
            missed[name] += not low <= 0.5 <= top
    assert missed["protein"] <= 10
    assert missed["receptor"] >= 2 * missed["protein"] + 5, missed
