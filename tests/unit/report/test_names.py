"""Long names are read whole where their row has room for lines, and else cut in the middle."""

from __future__ import annotations

import pytest

from snw_dist.report.marks import Axis, Panel
from snw_dist.report.names import in_lines, rows_of_names


@pytest.mark.parametrize(
    ("name", "most", "lines"),
    [
        ("short", 1, ["short"]),
        ("", 1, [""]),
        ("none seen: test_unseen_receptor (536)", 3, ["none seen: test_", "unseen_receptor", "(536)"]),
        ("none seen: test_unseen_receptor (536)", 2, ["none seen: test_unse", "en_receptor (536)"]),
        ("none seen: test_unseen_receptor (536)", 1, ["none seen...or (536)"]),
        ("A" * 45, 3, ["A" * 20, "A" * 20, "A" * 5]),
        ("ab cdefghijklmnopqrst ab cdefghijklmnopqrs", 2, ["ab cdefghijklmnopqr.", ".. cdefghijklmnopqrs"]),
    ],
)
def test_a_name_has_so_many_lines_of_so_many_letters(name: str, most: int, lines: list[str]) -> None:
    assert in_lines(name, 20, most) == lines


def test_rows_that_are_high_have_more_lines() -> None:
    def rows(height: int, count: int) -> int:
        return rows_of_names(Panel((), Axis(), Axis(names=("name",) * count), height=height))

    assert [rows(60 + 22 * 40, 40), rows(80 + 56 * 2, 2), rows(228, 4), rows(90, 0)] == [1, 3, 2, 1]
    assert rows_of_names(Panel((), Axis(), Axis(names=("a",) * 100))) == 1
