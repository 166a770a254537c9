"""The closest training sequence: what identity is, who wins a tie, and what is remembered."""

from __future__ import annotations

import numpy as np
import pytest

from snw_dist.bundle import nearest
from snw_dist.bundle.nearest import Known, Nearest, TrainedOn, sides_of

LETTERS = list("ACDE")


def changes(one: str, other: str) -> int:
    """Fewest residues to replace, insert or leave out, cell by cell."""
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, start=1):
        before, row[0] = row[0], i
        for j, right in enumerate(other, start=1):
            before, row[j] = row[j], min(before + (left != right), row[j] + 1, row[j - 1] + 1)
    return row[-1]


def drawn(rng: np.random.Generator, count: int, longest: int) -> list[str]:
    return ["".join(rng.choice(LETTERS, rng.integers(1, longest + 1))) for _ in range(count)]


@pytest.mark.parametrize("longest", [12, 90])
def test_it_is_that_of_a_plain_search(longest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where few comparisons are made at once, and beyond the 64 letters of a machine word."""
    rng = np.random.default_rng(longest)
    known, asked = drawn(rng, 23, longest), drawn(rng, 20, longest)
    expected = [
        min(
            (Nearest(one, 1 - changes(text, one) / max(len(text), len(one))) for one in known),
            key=lambda found: (-found.identity, found.sequence),
        )
        for text in asked
    ]
    assert Known(known).nearest(asked) == expected
    monkeypatch.setattr(nearest, "_CELLS", 50)
    assert Known(known[::-1]).nearest(asked) == expected


def test_of_several_the_first_in_the_alphabet() -> None:
    assert Known(["SYFPEITW", "SYFPEITA", "SYFPEITL"]).nearest(["SYFPEITI"]) == [Nearest("SYFPEITA", 7 / 8)]


def test_one_that_was_trained_on_is_its_own() -> None:
    known = Known(["ACD", "ACDE"])
    assert known.nearest(["ACDE", "ACD"]) == [Nearest("ACDE", 1.0), Nearest("ACD", 1.0)]
    assert known.num_compared == 0


def test_each_distinct_sequence_is_compared_once_and_few_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    known, asked = Known(["ACDE", "CCCC"]), ["AC", "CC", "AC", "D"]
    assert known.nearest(asked) == known.nearest(asked)
    assert known.num_compared == 3
    monkeypatch.setattr(nearest, "_MOST_KEPT", 3)
    before = known.nearest(asked)
    known.nearest(["E", "EE"])
    known.nearest(["E", "EE"])
    assert known.num_compared == 5, "what the last call asked for is kept"
    assert len(known._found) == 4
    assert known.nearest(asked) == before


def test_sides_that_mean_nothing_are_one_set() -> None:
    trained = TrainedOn(["AAAA"], ["CCCC"])
    ligands, receptors = sides_of(trained, symmetric=False)
    assert ligands.nearest(["CCCA"])[0].sequence == "AAAA"
    assert receptors.nearest(["CCCA"])[0].sequence == "CCCC"
    both = sides_of(trained, symmetric=True)[0]
    assert both.nearest(["CCCA", "AAAC"]) == [Nearest("CCCC", 0.75), Nearest("AAAA", 0.75)]
