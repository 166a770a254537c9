"""Windows have numbers: each place exactly one, equal windows one fingerprint, and each window one part."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from snw_dist.scoring.table.windows import (
    Letters,
    Numbering,
    all_in,
    cut_windows,
    fingerprints,
    groups,
    in_part,
    windows_of,
)


def letters(text: str) -> Letters:
    return np.frombuffer(text.encode(), np.uint8)


@pytest.mark.parametrize(("size", "lengths", "count"), [(10, [8, 9, 10, 11], 6), (7, [8], 0), (0, [1], 0), (8, [8], 1)])
def test_how_many_windows(size: int, lengths: Sequence[int], count: int) -> None:
    assert windows_of(size, lengths) == count


def test_a_number_says_where_a_window_is() -> None:
    sizes, lengths = [4, 0, 2, 3], [2, 3]
    expected = [
        (protein, start + 1, length)
        for protein, size in enumerate(sizes)
        for length in lengths
        for start in range(size - length + 1)
    ]
    numbering = Numbering(sizes, lengths)
    assert numbering.total == len(expected)
    assert [tuple(place) for place in numbering.places(np.arange(numbering.total))] == expected


def test_equal_windows_have_equal_fingerprints_and_others_have_others() -> None:
    rng = np.random.default_rng(1)
    text = "".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), 3000))
    found: dict[int, str] = {}
    for length in (8, 9):
        numbers = fingerprints(letters(text), length)
        assert len(numbers) == len(text) - length + 1
        for start, number in enumerate(numbers.tolist()):
            assert found.setdefault(number, text[start : start + length]) == text[start : start + length]
    assert fingerprints(letters("xxSIINFEKL"), 8)[2] == fingerprints(letters("SIINFEKLy"), 8)[0]
    assert len(fingerprints(letters("MKV"), 8)) == 0
    shares = np.bincount(fingerprints(letters(text), 9) % np.uint64(4), minlength=4) / (3000 - 8)
    assert np.all(np.abs(shares - 0.25) < 0.04)
    assert 0.45 < np.mean(fingerprints(letters(text), 9) < np.uint64(2**63)) < 0.55


def test_the_parts_are_all_windows() -> None:
    text = "MKVLAWYHHTELSIINFEKLMKVLAW"
    numbers = fingerprints(letters(text), 8)
    parts = [in_part(numbers, part, 3) for part in range(3)]
    assert sorted(np.concatenate(parts).tolist()) == [*range(len(text) - 7)]
    for part in parts:
        cut = cut_windows(letters(text), part, 8, 11)
        assert [one.decode() for one in cut.tolist()] == [text[at : at + 8] for at in part.tolist()]


def test_windows_of_good_letters_alone() -> None:
    allowed = np.zeros(256, bool)
    allowed[letters("ACK")] = True
    assert all_in(allowed, letters("AC1KAA"), 2).tolist() == [True, False, False, True, True]
    assert all_in(allowed, letters("A"), 2).tolist() == []


@pytest.mark.parametrize(
    ("sizes", "most", "found"), [([1, 2, 3, 1], 3, [2, 1, 1]), ([9, 1, 1], 3, [1, 2]), ([], 3, []), ([5, 5], 1, [1, 1])]
)
def test_groups_of_neighbours(sizes: list[int], most: int, found: list[int]) -> None:
    cut = list(groups(np.array(sizes, np.int64), most))
    assert [one.stop - one.start for one in cut] == found
    assert [place for one in cut for place in range(one.start, one.stop)] == [*range(len(sizes))]
