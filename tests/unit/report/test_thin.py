"""Fewer points are drawn where there are many, no peak is lost, and a note says so."""

from __future__ import annotations

import numpy as np

from snw_dist.report.marks import Axis, Lines, Panel, Points
from snw_dist.report.thin import MOST_OF_A_LINE, MOST_POINTS, thinned


def test_few_points_stay_as_they_are() -> None:
    x = np.arange(MOST_OF_A_LINE, dtype=np.float64)
    panel = Panel((Lines("a", x, x), Points("b", x, x)), Axis(), Axis())
    assert thinned(panel) == (panel, "")


def test_of_a_line_every_peak_stays() -> None:
    x, y = np.arange(100_000, dtype=np.float64), np.random.default_rng(0).random(100_000)
    y[[4_321, 98_765]] = 9, -9
    y[5] = np.nan
    line = Lines("loss", x, y, y - 1, y + 1)
    panel, note = thinned(Panel((line,), Axis(), Axis()))
    [found] = panel.marks
    assert isinstance(found, Lines)
    assert found.x.size <= MOST_OF_A_LINE
    assert {0, 4_321, 98_765, 99_999} <= set(found.x)
    assert np.array_equal(found.y, y[found.x.astype(int)], equal_nan=True)
    assert found.high is not None
    assert np.array_equal(found.high, found.y + 1, equal_nan=True)
    assert note == "loss: of 100,000 points the highest and lowest of each stretch are drawn."


def test_single_points_are_drawn_by_chance_with_what_is_said_of_them() -> None:
    x = np.arange(9_000, dtype=np.float64)
    points = Points("pairs", x, -x, texts=tuple(f"pair {i}" for i in range(9_000)))
    (panel, note), again = thinned(Panel((points,), Axis(), Axis())), thinned(Panel((points,), Axis(), Axis()))
    [found], [same] = panel.marks, again[0].marks
    assert isinstance(found, Points)
    assert isinstance(same, Points)
    assert found.x.size == MOST_POINTS == len(found.texts)
    assert all(text == f"pair {x:.0f}" for text, x in zip(found.texts, found.x, strict=True))
    assert np.array_equal(found.x, same.x)
    assert note == f"pairs: {MOST_POINTS:,} of 9,000 points are drawn, chosen by chance."
