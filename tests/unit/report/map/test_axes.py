"""The axes of a map: found by training alone, and the same for whatever is placed on them later."""

from __future__ import annotations

import numpy as np
import pytest

from snw_dist.report.map.axes import axes_of


def test_axes_are_those_of_the_largest_variance_and_say_their_share() -> None:
    draw = np.random.default_rng(1)
    vectors = draw.standard_normal((500, 6)) * [1, 9, 1, 1, 4, 1] + 20
    axes = axes_of(vectors)
    assert axes is not None
    assert np.abs(axes.directions).argmax(axis=1).tolist() == [1, 4]
    placed = axes.place(vectors)
    np.testing.assert_allclose(placed.mean(axis=0), 0, atol=1e-9)
    variances = vectors.var(axis=0).sum()
    np.testing.assert_allclose(axes.shares, placed.var(axis=0) / variances, rtol=1e-6)
    assert axes.titles()[0] == f"axis 1 ({axes.shares[0]:.0%} of the variance)"


def test_a_new_point_is_placed_without_moving_any_other() -> None:
    vectors = np.random.default_rng(2).standard_normal((40, 5))
    axes = axes_of(vectors)
    assert axes is not None
    far = np.full((1, 5), 100.0)
    np.testing.assert_array_equal(axes.place(np.concatenate([vectors, far]))[:40], axes.place(vectors))
    np.testing.assert_allclose(axes.place(far), (far - vectors.mean(axis=0)) @ axes.directions.T)


@pytest.mark.parametrize("vectors", [np.eye(2), np.ones((9, 4)), np.ones((9, 1))], ids=["few", "alike", "one number"])
def test_there_are_no_axes_where_nothing_differs(vectors: np.ndarray) -> None:
    assert axes_of(vectors) is None
