"""Which receptors get a list of their own, which share one, and of which nothing is promised."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from snw_dist.bundle.calibration_pairs import CalibrationPairs
from snw_dist.screen.errors.lists import enough, fewest, hit_lists
from tests.kit.split_tools import random_sequences

RATE = Fraction(1, 10)
LIGANDS = random_sequences(400, 9, 3)
RICH, POOR, OTHER, NEW, STRANGE = random_sequences(5, 200, 4)
LIKE_NEW = NEW[:100] + "A" + NEW[101:]


def pairs_of(negatives: dict[str, int], positives: int = 5) -> CalibrationPairs:
    """So many negative pairs of each receptor, and some positive ones; every score is different."""
    receptors = list(negatives)
    of = [number for number, name in enumerate(receptors) for _ in range(negatives[name] + positives)]
    positive = [i < positives for name in receptors for i in range(negatives[name] + positives)]
    score = np.random.default_rng(1).permutation(len(of)) / len(of)
    ligand = [i % len(LIGANDS) for i in range(len(of))]
    return CalibrationPairs("calibration", LIGANDS, receptors, ligand, of, positive, score.tolist())


def test_own_list_or_the_common_one() -> None:
    pairs = pairs_of({RICH: 199, POOR: 198, OTHER: 30})
    found = hit_lists([POOR, RICH, OTHER], pairs, {RICH, POOR, OTHER}, False, RATE)
    assert [(hits.name, hits.receptors, hits.negatives.num) for hits in found.lists] == [
        ("one receptor", [1], 199),
        ("receptors of the training", [0, 2], 199 + 198 + 30),
    ]
    assert found.refused == {}
    own = sorted(s for s, r, p in zip(pairs.score, pairs.receptor, pairs.positive, strict=True) if r == 0 and not p)
    assert found.lists[0].negatives.highest.tolist() == own[-20:]


def test_new_receptors_are_compared_with_new_ones_alone() -> None:
    pairs = pairs_of({POOR: 50, NEW: 40})
    found = hit_lists([POOR, NEW, LIKE_NEW, OTHER], pairs, {POOR, OTHER}, False, RATE)
    assert [(hits.name, hits.receptors, hits.negatives.num) for hits in found.lists] == [
        ("receptors of the training", [0], 50),
        ("new receptors", [1, 2], 40),
    ]
    assert list(found.refused) == [3]
    assert "less than 50% of its residues are those of any of the 1 calibration" in found.refused[3]


@pytest.mark.parametrize(
    ("learned", "said"),
    [
        ({POOR}, "the network has not learned from it, but from all calibration receptors"),
        ({LIKE_NEW}, "the network has learned from it, and from none of the calibration receptors"),
    ],
)
def test_another_kind_of_receptor_is_refused(learned: set[str], said: str) -> None:
    known = POOR if POOR in learned else NEW
    found = hit_lists([LIKE_NEW], pairs_of({known: 300}), learned, False, RATE)
    assert found.lists == []
    assert said in found.refused[0]


def test_too_few_negatives_are_refused() -> None:
    """Nine negatives show a share of one in ten, if all of a library scores above them; eight do not."""
    assert (fewest(RATE), enough(RATE), fewest(Fraction(3, 10))) == (9, 199, 3)
    assert hit_lists([POOR], pairs_of({POOR: 9}), {POOR}, False, RATE).lists[0].negatives.num == 9
    found = hit_lists([POOR, OTHER], pairs_of({POOR: 8}), {POOR}, False, RATE)
    assert found.refused[0] == "8 calibration negatives are there, and this rate needs 9"


def test_a_pair_of_two_proteins_belongs_to_both() -> None:
    pairs = pairs_of({RICH: 199, POOR: 20}, positives=0)
    partner = LIGANDS[0]
    assert list(hit_lists([partner], pairs, {RICH, POOR, *LIGANDS}, False, RATE).refused) == [0]
    found = hit_lists([partner, RICH], pairs, {RICH, POOR, *LIGANDS}, True, RATE)
    assert [(hits.receptors, hits.negatives.num) for hits in found.lists] == [([1], 199), ([0], 219)]
    assert found.refused == {}
