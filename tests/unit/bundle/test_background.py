"""The peptides of a background: as often as nature has each residue, and the same ones everywhere."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace

import pytest

from snw_dist.bundle.background import PERCENT, BackgroundEntry, drawn, draws_the_same, standard_background, uniform


def test_residues_are_drawn_as_often_as_the_table_says() -> None:
    peptides = drawn(PERCENT, 1, 20_000, 9)
    assert {len(one) for one in peptides} == {9}
    counts = Counter("".join(peptides))
    assert len(peptides) == 20_000
    for residue, percent in PERCENT.items():
        share = percent / sum(PERCENT.values())
        assert counts[residue] / 180_000 == pytest.approx(share, abs=4.5 * (share / 180_000) ** 0.5)


def test_the_table_of_the_release() -> None:
    assert sum(PERCENT.values()) == pytest.approx(99.90)
    assert (max(PERCENT, key=PERCENT.__getitem__), min(PERCENT, key=PERCENT.__getitem__)) == ("L", "W")


def test_every_machine_draws_the_same() -> None:
    """By hand: the first number is the first eight bytes of SHAKE-256, without its last 11 bits."""
    bits = hashlib.shake_256(b"background 5 9").digest(8)
    assert uniform(5, 9, 3)[0] == (int.from_bytes(bits, "little") >> 11) / 2**53
    assert drawn(PERCENT, 1, 1000, 9)[:2] == drawn(PERCENT, 1, 1, 9) + drawn(PERCENT, 1, 2, 9)[1:]
    assert drawn(PERCENT, 1, 10, 9) != drawn(PERCENT, 2, 10, 9)
    assert drawn({letter: 1.0 if letter == "C" else 1e-9 for letter in PERCENT}, 1, 2, 5) == ["CCCCC"] * 2
    made = standard_background()
    assert made["sha256"] == "bd4bd23a8359dcea3c347826d5f2c984a70b94704f2d1ccacd24b9ffda04ee78"


def test_another_table_or_seed_draws_others() -> None:
    entry = BackgroundEntry(**standard_background())
    assert draws_the_same(entry)
    assert not draws_the_same(replace(entry, seed=2))
    assert not draws_the_same(replace(entry, percent=entry.percent | {"A": 7.0}))


@pytest.mark.parametrize(
    "change",
    [{"percent": {"A": 1.0}}, {"percent": PERCENT | {"A": 0.0}}, {"size": 10}, {"kind": "other"}, {"seed": -1}],
)
def test_what_is_no_entry(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        BackgroundEntry(**standard_background() | change)
