"""The share of words that two sequences have in common."""

from __future__ import annotations

import pytest

from snw_dist.screen.errors import likeness
from snw_dist.screen.errors.likeness import shared_words
from tests.kit.split_tools import random_sequences


def test_share_of_words() -> None:
    assert shared_words(["ACDEF"], ["ACDEF", "ACD"]).tolist() == [1]
    assert shared_words(["ACDEF"], ["ACDWW", "CDE"]).tolist() == [pytest.approx(1 / 3)]
    assert shared_words(["AAAAAA"], ["AAA"]).tolist() == [1], "a word counts once"
    assert shared_words(["ACD"], ["acd"]).tolist() == [0]


def test_short_sequences_and_none() -> None:
    assert shared_words(["AC", "ACD"], ["AC"]).tolist() == [1, 0]
    assert shared_words(["AC", "ACD"], ["ACDE"]).tolist() == [0, 1]
    assert shared_words(["ACD"], []).tolist() == [0]
    assert shared_words([], ["ACD"]).tolist() == []


def test_one_residue_changes_three_words_and_strangers_share_few(monkeypatch: pytest.MonkeyPatch) -> None:
    first, *others = random_sequences(40, 300, 1)
    changed = first[:150] + ("A" if first[150] != "A" else "C") + first[151:]
    found = shared_words([changed, *others], [first])
    assert 0.98 < found[0] < 1
    assert found[1:].max() < 0.1
    monkeypatch.setattr(likeness, "_PIECE", 7)
    assert shared_words([changed, *others], [first]).tolist() == found.tolist()
