"""Groups of receptors by sequence: families that were put in are found, whatever the ids are."""

from __future__ import annotations

import numpy as np
import pytest

from snw_dist.report.map import groups
from snw_dist.report.map.groups import MOST_GROUPS, groups_of
from tests.kit.evaluate_tools import LETTERS

DRAW = np.random.default_rng(7)


def family(count: int, length: int = 60, changes: int = 3) -> list[str]:
    """Sequences that each differ from one another by a few residues."""
    root = DRAW.choice(LETTERS, length)
    members = []
    for _ in range(count):
        one = root.copy()
        one[DRAW.choice(length, changes, replace=False)] = DRAW.choice(LETTERS, changes)
        members.append("".join(one))
    return members


def test_families_are_found_and_the_largest_is_the_first() -> None:
    families = [family(5), family(9), family(4), family(3), family(2), family(2)]
    mixed = DRAW.permutation([one for members in families for one in members]).tolist()
    found = groups_of(mixed)
    assert found.sizes()[:2] == [9, 5]
    for members in families:
        assert len({found.of[one] for one in members}) == 1, members
    for number, middle in enumerate(found.middles):
        assert found.of[middle] == number


def test_many_are_cut_into_six_and_few_stay_apart() -> None:
    many = family(40, changes=30)
    assert len(groups_of(many).middles) <= MOST_GROUPS
    few = family(3)
    assert sorted(groups_of(few).of.values()) == [0, 1, 2]
    assert groups_of(few[:1]).middles == (few[0],)


def test_those_that_are_not_compared_join_the_group_that_they_are_like(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = family(30), family(20)
    first = [*one[:15], *other[:10]]
    whole = groups_of([*one, *other])
    monkeypatch.setattr(groups, "MOST_COMPARED", len(first))
    found = groups_of([*first, *one[15:], *other[10:]])
    apart = [{found.of[member] for member in members} for members in (one, other)]
    assert not apart[0] & apart[1]
    assert found.of.keys() == whole.of.keys()
