"""Bands of curves: where they are narrow and wide, ties, and that few points tell the same curve."""

from __future__ import annotations

import numpy as np

from snw_dist.metrics.bootstrap import plan_draws
from snw_dist.report.run.curves import Held, bands, few_points, grouped

GRID = np.linspace(0, 1, 101)


def held(num_pairs: int, num_receptors: int) -> Held:
    rng = np.random.default_rng(0)
    positive = rng.random(num_pairs) < 0.4
    score = rng.normal(positive.astype(float), 1)
    draws = plan_draws(np.arange(num_pairs) % num_receptors, 200, 1)
    return Held("test", positive, score, draws, "", "", 0)


def test_a_band_holds_the_curve_and_is_wide_where_few_stand_behind_it() -> None:
    from sklearn.metrics import roc_curve

    widths = []
    for num_pairs, num_receptors in ((3000, 60), (60, 6)):
        split = held(num_pairs, num_receptors)
        low, high = bands(split)[0]
        curve = np.interp(GRID, *roc_curve(split.positive, split.score)[:2])
        assert ((low <= curve + 0.02) & (curve <= high + 0.02)).mean() > 0.97
        assert high[-1] == 1
        widths.append((high - low).mean())
    assert widths[1] > 2 * widths[0]


def test_one_class_has_no_band() -> None:
    split = held(50, 5)
    (low, high), (worst, best) = bands(split._replace(positive=np.ones(50, dtype=np.bool_)))
    assert np.isnan(np.concatenate([low, high, worst, best])).all()


def test_equal_scores_are_in_one_group() -> None:
    assert grouped(np.array([0.5, 0.9, 0.5, 0.1])).tolist() == [1, 0, 1, 2]
    score = np.random.default_rng(0).integers(0, 5000, 20_000) / 5000
    group = grouped(score)
    assert 100 < group.max() < 201
    assert set(group) == set(range(group.max() + 1))
    order = np.argsort(-score)
    assert (np.diff(group[order]) >= 0).all()
    assert all(len(set(group[score == value])) == 1 for value in np.unique(score)[:50])


def test_few_points_are_the_same_curve() -> None:
    x = np.sort(np.random.default_rng(0).random(100_000))
    few_x, few_y = few_points(x, x**2)
    assert few_x.size < 3_000
    assert np.abs(np.interp(x, few_x, few_y) - x**2).max() < 0.005
