"""Dealing units to parts: sizes, seeds, independence of order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snw_dist.data.splits.assign import assign_parts, shuffled

_SIZES = st.lists(st.integers(1, 30), min_size=3, max_size=40)
_FRACTION = st.floats(0.01, 0.49)


def _deal(sizes: list[int], seed: int, shares: list[float]) -> np.ndarray:
    names = [f"s{i}" for i in range(len(sizes))]
    place = shuffled(names, seed)
    return assign_parts(np.array(sizes)[np.argsort(place)], shares)[place]


@settings(max_examples=200, deadline=None)
@given(_SIZES, st.integers(0, 2**32 - 1), _FRACTION, _FRACTION)
def test_no_part_is_empty_and_none_is_far_from_its_share(sizes: list[int], seed: int, val: float, test: float) -> None:
    shares = [test, val, 1 - test - val]
    part = _deal(sizes, seed, shares)
    assert set(part.tolist()) == {0, 1, 2}
    filled = np.bincount(part, weights=sizes)
    assert np.abs(filled - np.array(shares) * sum(sizes)).max() < 2 * max(sizes)


@pytest.mark.parametrize("seed", range(5))
def test_shares_are_met_closely_with_many_units(seed: int) -> None:
    sizes = np.random.default_rng(seed).integers(1, 200, 1000)
    for shares in ([0.1, 0.1, 0.8], [0.2] * 5, [0.1] * 10):
        filled = np.bincount(_deal(sizes.tolist(), seed, shares), weights=sizes) / sizes.sum()
        np.testing.assert_allclose(filled, shares, atol=1e-4)


def test_the_seed_matters_and_every_unit_may_come_anywhere() -> None:
    sizes = [1] * 100
    parts = np.array([_deal(sizes, seed, [0.2, 0.2, 0.6]) for seed in range(50)])
    assert (parts[0] != parts[1]).any()
    assert all(set(column.tolist()) == {0, 1, 2} for column in parts.T)


def test_neither_the_order_of_units_nor_other_units_matter_for_their_order() -> None:
    names = [f"SEQ{i}" for i in range(30)]
    reference = _order(names)
    assert _order(names[::-1]) == reference
    assert _order(names[::2]) == [name for name in reference if name in names[::2]]


def _order(names: list[str]) -> list[str]:
    return [names[i] for i in np.argsort(shuffled(names, 7))]


def test_a_dominating_unit_goes_where_most_room_is() -> None:
    for seed in range(20):
        part = _deal([1000, *[10] * 20], seed, [0.1, 0.1, 0.8])
        assert part[0] == 2
        assert set(part.tolist()) == {0, 1, 2}


def test_units_without_pairs_do_not_fill_a_part() -> None:
    part = _deal([0, 0, 5, 5, 5, 0], 1, [0.3, 0.3, 0.4])
    assert set(part[2:5].tolist()) == {0, 1, 2}
