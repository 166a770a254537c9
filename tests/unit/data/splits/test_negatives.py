"""Negatives by dealing again: both sides stay balanced, and nothing that binds is called a negative."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hpc.errors import InputError
from snw_dist.data.records.pairs import PairTable
from snw_dist.data.splits.negatives import deal_again
from tests.kit.split_tools import distinct, random_sequences

LIGANDS, RECEPTORS = random_sequences(200, 9, 0), random_sequences(80, 30, 1)


def _table(ligand: NDArray[np.int64], receptor: NDArray[np.int64], split: NDArray[np.int64]) -> PairTable:
    size = len(ligand)
    ones = np.ones(size)
    names = ["train", "val", "test"]
    return PairTable(ligand, receptor, ones, np.ones(size, np.int8), split, ones, names, None, 0, [])


def _deal(
    pairs: PairTable, ligand_cluster: NDArray[np.int64], receptor_cluster: NDArray[np.int64], seed: int = 1
) -> NDArray[np.int64]:
    sides = distinct(LIGANDS, ligand_cluster), distinct(RECEPTORS, receptor_cluster)
    ligand, receptor = deal_again(*sides, pairs, np.arange(len(pairs)), seed)
    assert (receptor == pairs.receptor).all()
    return ligand


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 3))
def test_balanced_and_never_a_known_binder(seed: int, num_splits: int) -> None:
    rng = np.random.default_rng(seed)
    cells = rng.choice(200 * 80, 300, replace=False)
    pairs = _table(cells // 80, cells % 80, rng.integers(0, num_splits, 300))
    ligand_cluster, receptor_cluster = rng.integers(0, 100, 200), rng.integers(0, 40, 80)
    ligand = _deal(pairs, ligand_cluster, receptor_cluster, seed)
    for number in range(num_splits):  # both sides occur as often as before
        assert sorted(ligand[pairs.split == number]) == sorted(pairs.ligand[pairs.split == number])
    known = set(zip(ligand_cluster[pairs.ligand].tolist(), receptor_cluster[pairs.receptor].tolist(), strict=True))
    made = list(zip(ligand_cluster[ligand].tolist(), receptor_cluster[pairs.receptor].tolist(), strict=True))
    assert not known & set(made)
    assert max(Counter(zip(ligand.tolist(), pairs.receptor.tolist(), strict=True)).values()) == 1


def test_a_hard_case_is_solved_by_search() -> None:
    """Two receptor families of equal size: every ligand must change family."""
    index = np.arange(80)
    pairs = _table(index, index, np.zeros(80, np.int64))
    dealt = _deal(pairs, np.arange(200), np.arange(80) % 2)
    assert (dealt % 2 != index % 2).all()


def test_where_no_permutation_exists() -> None:
    index = np.arange(10)
    pairs = _table(index, index, np.full(10, 1))
    with pytest.raises(InputError, match=r"No negatives can be dealt in the split 'val': .* the largest holds 60% of"):
        _deal(pairs, np.arange(200), np.where(np.arange(80) < 6, 0, np.arange(80)))


def test_the_seed_decides() -> None:
    index = np.arange(80)
    pairs = _table(index, index, index % 2)
    first, again, other = (_deal(pairs, np.arange(200), np.arange(80), seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).mean() > 0.8
