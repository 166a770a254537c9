"""Ten pairs with their scores: which they are, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hpc.disk.strict import validated
from hpc.errors import CorruptError, EnvironmentProblem
from snw_dist.bundle.parity import TOLERANCE, Parity, largest_difference, parity_of


def predictions(count: int, seed: int) -> pd.DataFrame:
    scores = np.random.default_rng(seed).random(count)
    return pd.DataFrame({"ligand": [f"L{i}" for i in range(count)], "receptor": "R", "score": scores})


def parity(*tables: dict[str, pd.DataFrame]) -> Parity:
    return validated(Parity, parity_of(tables), "parity.json")


def test_ten_pairs_from_the_lowest_score_to_the_highest() -> None:
    one, two = predictions(500, 0), predictions(500, 1)
    found = parity({"a": one, "b": two})
    scores = [pair.scores["a"] for pair in found.pairs]
    assert len(scores) == 10
    assert scores == sorted(scores)
    assert (scores[0], scores[-1]) == (one["score"].min(), one["score"].max())
    for pair in found.pairs:
        assert pair.scores["b"] == two["score"][int(pair.ligand[1:])]


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (7, 7), (10, 10)])
def test_fewer_pairs_than_ten(count: int, expected: int) -> None:
    assert len(parity({"a": predictions(count, 0)}).pairs) == expected


def test_of_folds_each_member_has_pairs_of_its_own() -> None:
    found = parity({"a": predictions(50, 0)}, {"b": predictions(50, 1)}, {"c": predictions(50, 2)})
    assert [list(pair.scores) for pair in found.pairs] == [["a"]] * 4 + [["b"]] * 4 + [["c"]] * 4


def test_a_member_without_a_pair_is_not_taken_for_right() -> None:
    with pytest.raises(CorruptError, match=r"^x: no pair of member b\."):
        largest_difference(parity({"a": predictions(20, 0)}), {"b": np.zeros(10)}, "fp32", "x")


def test_how_far_scores_are_away_and_from_where_they_are_refused() -> None:
    found = parity({"a": predictions(50, 0)})
    same = np.array([pair.scores["a"] for pair in found.pairs])
    assert largest_difference(found, {"a": same}, "fp32", "x") == 0.0
    near, far = same.copy(), same.copy()
    near[3] += TOLERANCE["fp32"] / 2
    far[3] += TOLERANCE["fp32"] * 2
    assert largest_difference(found, {"a": near}, "fp32", "x") == pytest.approx(TOLERANCE["fp32"] / 2)
    assert largest_difference(found, {"a": far}, "bf16", "x") > TOLERANCE["fp32"]
    far[0] = np.nan
    with pytest.raises(EnvironmentProblem, match=r"^x: member a does not give its own scores here") as caught:
        largest_difference(found, {"a": far}, "fp32", "x")
    assert "\n" not in str(caught.value)
