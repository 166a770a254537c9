"""What is known of each sequence, and the sample that a map of any size is drawn from."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from snw_dist.report.map.sequences import sampled, sequences_of, shares

PAIRS = pd.DataFrame(
    [
        ("A", "R", "a1", "r", "test", 1.0, True, 0.25),
        ("A", "S", "a1", "s", "train", 0.2, False, np.nan),
        ("A", "R", "a2", "r", "val", 0.6, True, 0.0),
        ("C", "S", "c", "s", "test", 0.0, False, 0.5),
        ("C", "R", "c", "r", "new", 0.1, False, 0.1),
    ],
    columns=["ligand", "receptor", "ligand_id", "receptor_id", "split", "label", "positive", "probability"],
)


def test_a_row_for_each_sequence_with_what_is_known_of_it() -> None:
    found = sequences_of(PAIRS, ("ligand",)).set_index("sequence")
    assert found.loc["A", ["id", "split", "pairs", "partner"]].tolist() == ["a1", "train", 3, "R"]
    assert found.loc["A", "label"] == pytest.approx(0.6)
    assert found.loc["A", "error"] == pytest.approx(0.75), "val chooses the calibration, so its errors are too small"
    assert found.loc["C", ["id", "split", "pairs"]].tolist() == ["c", "test", 2]
    assert found.loc["C", "partner"] is None or pd.isna(found.loc["C", "partner"])
    assert found.loc["C", "error"] == pytest.approx(0.3)
    receptors = sequences_of(PAIRS, ("receptor",)).set_index("sequence")
    assert receptors["partner"]["R"] == "A"


def test_where_the_sides_mean_nothing_a_sequence_is_there_once() -> None:
    assert sequences_of(PAIRS, ("ligand", "receptor"))["sequence"].tolist() == ["A", "C", "R", "S"]


@pytest.mark.parametrize(
    ("counts", "most", "taken"),
    [
        ([10, 10], 4, [2, 2]),
        ([1, 100, 100], 11, [1, 5, 5]),
        ([3, 2], 100, [3, 2]),
        ([0, 7], 5, [0, 5]),
        ([1_000_000, 50, 400], 900, [450, 50, 400]),
    ],
)
def test_small_splits_are_drawn_whole_and_large_ones_share_the_rest(
    counts: list[int], most: int, taken: list[int]
) -> None:
    assert shares(counts, most) == taken


def test_the_sample_of_a_million_is_the_same_each_time() -> None:
    split = pd.Series(np.repeat(["train", "test"], [1_000_000, 300]))
    rows = sampled(split, 900, seed=1)
    assert len(rows) == 900
    assert (split[rows] == "test").sum() == 300
    np.testing.assert_array_equal(rows, sampled(split, 900, seed=1))
    assert (rows != sampled(split, 900, seed=2)).any()
