"""What a label cell may be."""

from __future__ import annotations

import math
from typing import Any

import pytest

from snw_dist.data.files.cells import parse_binary, parse_label


@pytest.mark.parametrize(
    ("cell", "label"),
    [("0", 0), ("1", 1), ("0.25", 0.25), (".5", 0.5), ("1.", 1), ("1e-3", 0.001), ("+0.5", 0.5)]
    + [(word, 1) for word in ("true", "TRUE", "yes", "Bound", "positive")]
    + [(word, 0) for word in ("false", "no", "unbound", "Negative")]
    + [(True, 1), (False, 0), (1, 1), (0.5, 0.5)],
)
def test_accepted(cell: Any, label: float) -> None:
    assert parse_label(cell) == label


def test_negative_zero_is_zero() -> None:
    assert math.copysign(1, parse_label("-0")) == 1


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("", "is empty"),
        (None, "is empty"),
        ("nan", "not finite"),
        (math.nan, "not finite"),
        ("-inf", "not finite"),
        (math.inf, "not finite"),
        ("1e999", "not finite"),
        ("1.01", r"outside \[0, 1\]"),
        (-0.1, r"outside \[0, 1\]"),
        (2, r"outside \[0, 1\]"),
        ("0,5", "has a comma; write numbers with a point"),
        ("1,234.5", "has a comma; write numbers with a point"),
        ("1_0", "more than a number"),
        ("٠", "neither a number"),
        ("maybe", "neither a number"),
        ("=1+1", "more than a number"),
    ],
)
def test_refused(cell: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_label(cell)


def test_binary_takes_nothing_between() -> None:
    assert parse_binary("1.0") is True
    assert parse_binary("unbound") is False
    with pytest.raises(ValueError, match="neither 0 nor 1"):
        parse_binary("0.5")
