"""The random split: disjoint ligands, sizes, independence of order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpc.errors import InputError
from snw_dist.data.split import check_split_names, random_split

_GROUPS = st.lists(st.integers(1, 30), min_size=3, max_size=40)
_FRACTION = st.floats(0.01, 0.49)


@settings(max_examples=100, deadline=None)
@given(_GROUPS, st.integers(0, 2**32 - 1), _FRACTION, _FRACTION)
def test_no_ligand_is_shared_and_no_split_is_empty(
    sizes: list[int], seed: int, val_fraction: float, test_fraction: float
) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    split = random_split(groups, [f"s{i}" for i in range(len(sizes))], seed, val_fraction, test_fraction)
    assert set(split.tolist()) == {0, 1, 2}
    assert all(len(set(split[groups == g].tolist())) == 1 for g in range(len(sizes)))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.randoms(use_true_random=False))
def test_order_of_rows_and_of_sequences_does_not_matter(seed: int, random: np.random.Generator) -> None:
    sizes = {f"SEQ{i}": 1 + i % 7 for i in range(30)}
    names = list(sizes)
    reference = dict(zip(names, _split_by_name(names, sizes, seed), strict=True))
    shuffled = list(names)
    random.shuffle(shuffled)  # type: ignore[arg-type]
    assert dict(zip(shuffled, _split_by_name(shuffled, sizes, seed), strict=True)) == reference


def _split_by_name(names: list[str], sizes: dict[str, int], seed: int) -> list[int]:
    groups = np.repeat(np.arange(len(names)), [sizes[n] for n in names])[::-1].copy()
    split = random_split(groups, names, seed, 0.1, 0.2)
    return [int(split[groups == i][0]) for i in range(len(names))]


def test_fractions_are_met_with_small_groups_and_the_seed_matters() -> None:
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 1000, 10_000)
    names = [f"s{i}" for i in range(1000)]
    first, second = (random_split(groups, names, seed, 0.1, 0.2) for seed in (1, 2))
    np.testing.assert_allclose(np.bincount(first) / len(groups), [0.7, 0.1, 0.2], atol=0.002)
    assert (first != second).mean() > 0.2


def test_a_dominating_ligand_goes_to_train() -> None:
    groups = np.repeat(np.arange(21), [1000] + [10] * 20)
    split = random_split(groups, [f"s{i}" for i in range(21)], 3, 0.1, 0.1)
    assert split[0] == 0
    assert (np.bincount(split) > 0).all()


def test_too_few_ligands() -> None:
    with pytest.raises(InputError, match="at least 3 distinct ligand sequences, there are 2"):
        random_split(np.array([0, 0, 1]), ["a", "b"], 1, 0.1, 0.1)


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
    assert "set data.columns.split to null" in str(caught.value)
