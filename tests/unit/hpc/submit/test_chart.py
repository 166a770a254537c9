"""Charts of characters: tables of cases, and what a person would see."""

from __future__ import annotations

import pytest

from hpc.curves import Curve
from hpc.submit.chart import chart, sparkline

FALLING = Curve("training", "loss", [1, 2, 3, 4], [4.0, 3.0, 2.0, 1.0])


def plain(*curves: Curve, width: int = 20, height: int = 6) -> list[str]:
    return [line.plain.rstrip() for line in chart(curves, width, height, plain=True)]


def test_a_falling_line_falls() -> None:
    title, *body, steps = plain(FALLING)
    assert title == "loss  training 1"
    assert [row[:2].strip() for row in body] == ["4", "", "", "1"]
    where = [row[2:].find("*") for row in body]
    assert where == sorted(where)
    assert where[0] == 0
    assert steps == "  1           step 4"


def test_every_line_is_as_wide_as_asked_and_the_chart_as_high() -> None:
    for width in (12, 38, 150):
        for height in (4, 7, 12):
            lines = chart([FALLING], width, height)
            assert len(lines) == height
            assert {line.cell_len for line in lines} == {width}


def test_two_curves_share_axes_and_can_be_told_apart() -> None:
    low = Curve("validation", "loss", [2, 4], [0.0, 0.0])
    title, *body, _ = plain(FALLING, low)
    assert title == "loss  training 1  va"
    assert "*" in body[-1]
    assert "." in body[0]
    assert len({span.style for span in chart([FALLING, low], 40, 6)[0].spans}) == 2


@pytest.mark.parametrize("value", [0.0, 5.0, -3.0])
def test_a_constant_is_a_level_line(value: float) -> None:
    rows = [row for row in plain(Curve("a", "a", [1, 2], [value, value]))[1:-1] if "*" in row]
    assert len(rows) == 1


def test_one_point_is_no_division_by_zero() -> None:
    assert any("*" in row for row in plain(Curve("a", "a", [7], [7.0])))


def test_dots_of_braille() -> None:
    body = [line.plain for line in chart([FALLING], 22, 6)][1:-1]
    assert all(letter == " " or 0x2800 < ord(letter) < 0x2900 for row in body for letter in row[2:])


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([], ""),
        ([1.0], ""),
        ([0.0, 1.0], "▁█"),
        ([1.0, 0.0, 1.0], "█▁█"),
        ([2.0, 2.0], "▅▅"),
        ([*range(80)], "▁▂▃▄▅▆▇█"),
    ],
)
def test_a_curve_in_a_line(values: list[float], text: str) -> None:
    assert sparkline(values, 8).replace(" ", "") == text
    assert sparkline(values, 8, plain=True) == ""
