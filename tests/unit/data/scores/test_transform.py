"""From score to label and back: exact inside the range, clipped outside, the same after saving."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hpc.errors import InputError
from snw_dist.data.scores.transform import (
    MIN_PAIRS,
    LabelTransform,
    LogAffinity,
    MinMax,
    Rank,
    fit_transform,
    transform_from_json,
)

KINDS = ["minmax", "logistic", "rank"]
_SCORES = st.lists(st.floats(-1e4, 1e4, width=32), min_size=4, max_size=300)


def _fit(kind: str, score: np.ndarray, receptor: list[str] | None = None, clip: float = 0.0) -> LabelTransform:
    ids = receptor or ["r"] * len(score)
    return fit_transform(kind, score, ids, per_receptor=receptor is not None, clip=clip)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(KINDS), _SCORES)
def test_round_trip_and_order(kind: str, values: list[float]) -> None:
    score = np.sort(np.array(values))
    quartiles = np.quantile(score, [0.25, 0.75])
    assume(quartiles[1] - quartiles[0] > 1e-3 * np.abs(score).max())
    transform = _fit(kind, score)
    ids = ["r"] * len(score)
    label = transform.to_label(score, ids)
    assert (label >= 0).all()
    assert (label <= 1).all()
    assert (np.diff(label) <= 1e-12).all()  # lower is better
    inside = np.ones(len(score), bool)
    if kind == "logistic":
        inside = (label > 1e-5) & (label < 1 - 1e-5)
    scale = np.abs(score).max()
    np.testing.assert_allclose(transform.to_score(label, ids)[inside], score[inside], atol=1e-6 * scale, rtol=0)


@pytest.mark.parametrize("kind", [*KINDS, "log_affinity"])
def test_saved_and_read_gives_the_same_bits(kind: str) -> None:
    rng = np.random.default_rng(0)
    score = rng.lognormal(5, 2, 500)
    receptor = [f"r{i % 3}" for i in range(500)]
    transform = fit_transform(kind, score, receptor, per_receptor=kind != "log_affinity", clip=0.01)
    again = transform_from_json(json.loads(json.dumps(transform.to_json())), "t.json")
    assert again == transform
    assert (again.to_label(score, receptor) == transform.to_label(score, receptor)).all()


def test_minmax_clips_at_its_quantiles() -> None:
    score = np.arange(101.0)
    transform = _fit("minmax", score, clip=0.1)
    assert transform.overall == MinMax(10.0, 90.0)
    assert transform.to_label([0, 10, 50, 90, 100], ["r"] * 5).tolist() == [1, 1, 0.5, 0, 0]
    assert transform.to_score([0, 1, 2, -1], ["r"] * 4).tolist() == [90, 10, 10, 90]


def test_logistic_has_its_quartiles_at_a_quarter() -> None:
    transform = _fit("logistic", np.arange(101.0))
    np.testing.assert_allclose(transform.to_label([25, 50, 75], ["r"] * 3), [0.75, 0.5, 0.25])
    extreme = transform.to_label([-1e9, 1e9], ["r"] * 2)
    assert 0 < extreme[1] < 1e-5
    assert 1 - 1e-5 < extreme[0] < 1


def test_rank_is_the_share_that_is_worse_and_ties_share_it() -> None:
    transform = _fit("rank", np.array([-5.0, -3, -3, -3, 0]))
    assert transform.overall == Rank([-5.0, -3.0, 0.0], [1.0, 0.5, 0.0])
    many = np.random.default_rng(0).standard_normal(10_000)
    curve = _fit("rank", many).overall
    assert isinstance(curve, Rank)
    assert len(curve.scores) <= 257
    label = _fit("rank", many).to_label(many, ["r"] * len(many))
    np.testing.assert_allclose(np.sort(label), np.linspace(0, 1, 10_000), atol=0.005)


def test_affinities_are_on_the_scale_of_the_field() -> None:
    transform = fit_transform("log_affinity", np.array([3.0]), ["r"], per_receptor=False, clip=0)
    label = transform.to_label([1, 500, 50_000, 1e6, 0.1], ["r"] * 5)
    np.testing.assert_allclose(label, [1, 1 - np.log(500) / np.log(50_000), 0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(transform.to_score(label, ["r"] * 5), [1, 500, 50_000, 50_000, 1], rtol=1e-9)
    assert transform.overall == LogAffinity()


def test_receptors_have_their_own_curve_where_they_have_pairs_enough() -> None:
    score = np.concatenate([np.arange(20.0), np.arange(100.0, 120.0), np.full(15, 7.0), np.arange(MIN_PAIRS - 1)])
    receptor = ["a"] * 20 + ["b"] * 20 + ["same"] * 15 + ["few"] * (MIN_PAIRS - 1)
    transform = _fit("minmax", score, receptor)
    assert transform.of_receptor == {"a": MinMax(0.0, 19.0), "b": MinMax(100.0, 119.0)}
    assert transform.overall == MinMax(0.0, 119.0)
    label = transform.to_label([0, 119, 0, 59.5, 7], ["a", "b", "few", "never seen", "same"])
    np.testing.assert_allclose(label, [1, 0, 1, 0.5, 1 - 7 / 119])
    np.testing.assert_allclose(transform.to_score([1.0, 1.0, 1.0], ["a", "b", "x"]), [0, 100, 0])


@pytest.mark.parametrize("kind", KINDS)
def test_equal_scores_cannot_be_fitted(kind: str) -> None:
    with pytest.raises(InputError, match="all 4 scores of the train split are equal"):
        _fit(kind, np.full(4, -3.0))


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="2 values for 1 receptors"):
        _fit("minmax", np.arange(3.0)).to_label([1, 2], ["r"])


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"overall": {"kind": "spline"}, "of_receptor": {}},
        {"overall": {"kind": "minmax", "best": 0.0}, "of_receptor": {}},
        {"overall": {"kind": "minmax", "best": 0.0, "worst": 1.0, "extra": 1}, "of_receptor": {}},
    ],
)
def test_a_spoiled_file_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"t\.json"):
        transform_from_json(values, "t.json")
