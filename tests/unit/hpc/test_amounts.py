"""Numbers as people read them: tables of cases."""

from __future__ import annotations

import pytest

from hpc.amounts import count_of, duration, number, short


@pytest.mark.parametrize(("count", "text"), [(0, "0 rows"), (1, "1 row"), (2_000, "2,000 rows")])
def test_one_thing_is_not_several(count: int, text: str) -> None:
    assert count_of(count, "row") == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (2.04, "2.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599.6, "1 h 00 min"),
        (7620, "2 h 07 min"),
        (172_700, "47 h 58 min"),
        (273_700, "3 days 04 h"),
    ],
)
def test_times_in_words(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.51734, "0.517"),
        (1234567.0, "1.23e+06"),
        (12.68, "12.7"),
        (81.0, "81"),
        (1.2e-5, "1.2e-05"),
        (45123.4, "45,123"),
    ],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text


def test_large_numbers_have_three_digits_and_a_letter() -> None:
    cases = {
        0: "0",
        999: "999",
        1000: "1.00 k",
        12_345: "12.3 k",
        999_499: "999 k",
        999_600: "1.00 M",
        2_435_000: "2.44 M",
    }
    assert {value: short(value) for value in cases} == cases
    assert short(1_943_732_224, "FLOP") == "1.94 GFLOP"
    assert (short(512, "B"), short(4_200_000, "B")) == ("512 B", "4.20 MB")
