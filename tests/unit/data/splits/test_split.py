"""The methods of splitting: what is held apart, how large the splits become, and what does not matter."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from hpc.errors import InputError
from snw_dist.data.splits.clusters import Distinct
from snw_dist.data.splits.split import (
    NO_SPLIT,
    TEST,
    TRAIN,
    VAL,
    Parts,
    check_split_names,
    fold_of,
    fractions,
    split_pairs,
)
from tests.kit.split_tools import distinct, random_sequences

LIGANDS, RECEPTORS = distinct(random_sequences(400, 9, 0)), distinct(random_sequences(60, 40, 1))
PARTS = fractions(0.1, 0.2)
METHODS = ["random", "ligand_cold", "receptor_cold", "both_cold"]


def _pairs(num: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Distinct pairs; some ligands and receptors have many more than others."""
    rng = np.random.default_rng(seed)
    ligand, receptor = (rng.beta(1, 3, 3 * num) * n for n in (400, 60))
    both = np.unique(np.stack([ligand, receptor], 1).astype(np.int64), axis=0)
    ligands, receptors = rng.permutation(both)[:num].T
    return ligands, receptors


LIGAND, RECEPTOR = _pairs(3000, 2)


def _split(method: str, parts: Parts = PARTS, seed: int = 1, ligands: Distinct = LIGANDS) -> NDArray[np.int64]:
    return split_pairs(method, ligands, RECEPTORS, LIGAND, RECEPTOR, parts, seed)


def _apart(split: NDArray[np.int64], side: NDArray[np.int64]) -> bool:
    """No unit of the side is in two splits."""
    kept = split != NO_SPLIT
    return all(len(set(split[kept & (side == unit)].tolist())) <= 1 for unit in np.unique(side))


@pytest.mark.parametrize("method", METHODS)
def test_what_is_held_apart(method: str) -> None:
    split = _split(method)
    assert _apart(split, LIGAND) == (method in ("ligand_cold", "both_cold"))
    assert _apart(split, RECEPTOR) == (method in ("receptor_cold", "both_cold"))
    assert (split == NO_SPLIT).any() == (method == "both_cold")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(3))
def test_sizes_are_kept(method: str, seed: int) -> None:
    split = _split(method, seed=seed)
    kept = split[split != NO_SPLIT]
    tolerance = {"random": 0.001, "ligand_cold": 0.001, "receptor_cold": 0.005, "both_cold": 0.03}[method]
    np.testing.assert_allclose(np.bincount(kept) / len(kept), [0.7, 0.1, 0.2], atol=tolerance)


@pytest.mark.parametrize("method", METHODS)
def test_calibration_pairs_are_a_split_of_their_own(method: str) -> None:
    split = _split(method, fractions(0.1, 0.2, 0.15))
    kept = split[split != NO_SPLIT]
    np.testing.assert_allclose(np.bincount(kept) / len(kept), [0.55, 0.1, 0.2, 0.15], atol=0.03)
    assert _apart(split, LIGAND) == (method in ("ligand_cold", "both_cold"))
    assert fractions(0.1, 0.2).names == ["train", "val", "test"]


@pytest.mark.parametrize("method", METHODS)
def test_the_seed_matters_and_the_same_seed_gives_the_same(method: str) -> None:
    assert (_split(method, seed=5) == _split(method, seed=5)).all()
    assert (_split(method, seed=5) != _split(method, seed=6)).mean() > 0.1


@pytest.mark.parametrize("method", METHODS)
def test_the_order_of_rows_and_records_does_not_matter(method: str) -> None:
    rng = np.random.default_rng(3)
    rows, ids = rng.permutation(len(LIGAND)), rng.permutation(400)
    place = np.argsort(ids)  # where each sequence is now
    ligands = distinct([LIGANDS.sequences[i] for i in ids])
    again = split_pairs(method, ligands, RECEPTORS, place[LIGAND[rows]], RECEPTOR[rows], PARTS, 1)
    assert (again == _split(method)[rows]).all()


@pytest.mark.parametrize("method", ["ligand_cold", "both_cold"])
def test_clusters_are_held_together(method: str) -> None:
    cluster = np.arange(400) // 4
    split = _split(method, ligands=distinct(LIGANDS.sequences, cluster))
    assert _apart(split, cluster[LIGAND])


def test_equal_pairs_by_other_ids_stay_together_at_random() -> None:
    code = np.arange(400) // 2  # two ids for each sequence
    ligands = Distinct(code, LIGANDS.sequences[:200], "identical", 1.0, 1.0)
    split = split_pairs("random", ligands, RECEPTORS, LIGAND, RECEPTOR, PARTS, 1)
    assert _apart(split, code[LIGAND] * 60 + RECEPTOR)


@pytest.mark.parametrize("method", METHODS)
def test_every_pair_is_tested_once_in_all_folds(method: str) -> None:
    folds = np.array([_split(method, fold_of(5, fold)) for fold in range(5)])
    times = (folds == TEST).sum(0)
    assert times.max() == 1
    if method != "both_cold":
        assert times.min() == 1
    for fold in range(5):  # what is validated on is the next test set
        assert ((folds[fold] == VAL) == (folds[(fold + 1) % 5] == TEST)).all()
    size = (folds == TEST).sum(1)
    assert size.max() < size.min() * 1.2


def test_both_cold_loses_nothing_where_nothing_connects() -> None:
    ligand = np.arange(300)
    receptor = ligand % 60  # 60 groups of 5 ligands and a receptor
    split = split_pairs("both_cold", LIGANDS, RECEPTORS, ligand, receptor, PARTS, 1)
    assert np.bincount(split).tolist() == [210, 30, 60]


def test_both_cold_cuts_the_connected_group_only() -> None:
    """A grid, all of which is connected, beside 20 groups of their own."""
    grid = np.array([(a, b) for a in range(100) for b in range(40)])
    groups = np.array([(100 + i, 40 + i % 20) for i in range(300)])
    ligand, receptor = np.concatenate([grid, groups]).T
    split = split_pairs("both_cold", LIGANDS, RECEPTORS, ligand, receptor, PARTS, 1)
    assert (split[len(grid) :] == NO_SPLIT).mean() < 0.1
    kept = split[split != NO_SPLIT]
    np.testing.assert_allclose(np.bincount(kept) / len(kept), [0.7, 0.1, 0.2], atol=0.03)
    assert len(kept) > 0.43 * len(split)  # of the grid no more than 0.39 can be kept with these shares on both sides


@pytest.mark.parametrize("sizes", [[20, 20], [30, 15, 5], [40, 2, 2, 2]])
def test_both_cold_cuts_as_many_groups_as_it_takes(sizes: list[int]) -> None:
    """Grids of ligands and receptors that nothing connects."""
    ends = np.cumsum([0, *sizes])
    grids = [(a, b) for low, high in pairwise(ends) for a in range(low * 5, high * 5) for b in range(low, high)]
    ligand, receptor = np.array(grids).T
    split = split_pairs("both_cold", LIGANDS, RECEPTORS, ligand, receptor, PARTS, 1)
    kept = split[split != NO_SPLIT]
    np.testing.assert_allclose(np.bincount(kept) / len(kept), [0.7, 0.1, 0.2], atol=0.05)


def test_too_few_units() -> None:
    few = np.zeros(10, np.int64)
    with pytest.raises(InputError, match="needs at least 3 clusters or sequences to deal, there are 1"):
        split_pairs("receptor_cold", LIGANDS, RECEPTORS, np.arange(10), few, PARTS, 1)


def test_a_split_without_pairs() -> None:
    """Three ligands and three receptors, of which every part has one of each, but the pairs lie elsewhere."""
    ligand, receptor = np.array([[0, 1], [0, 2], [1, 1], [2, 1], [1, 0]]).T
    with pytest.raises(InputError, match=r"The both_cold split leaves no pairs for .* data\.split\.seed"):
        split_pairs("both_cold", LIGANDS, RECEPTORS, ligand, receptor, PARTS, 1)


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (["train", "val"], "a held-out split of another name"),
        (["train", "test"], "no usable pairs in: val"),
        (["Train", "val", "test"], "no usable pairs in: train"),
        ([], "train; val; a held-out"),
    ],
)
def test_needed_splits(names: list[str], missing: str) -> None:
    with pytest.raises(InputError, match=missing) as caught:
        check_split_names(names, "pairs.csv")
    assert 'data.split.method = "ligand_cold"' in str(caught.value)


def test_roles_of_parts() -> None:
    assert fold_of(4, 3).split.tolist() == [VAL, TRAIN, TRAIN, TEST]
    assert PARTS.shares == pytest.approx([0.2, 0.1, 0.7])
