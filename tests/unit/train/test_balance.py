"""Which rank computes which pairs of a step, and with which weight."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snw_dist.train.balance import equal_parts, rank_share
from snw_dist.trained_run.trajectory import accumulation_steps

counts = st.integers(1, 200)


@given(counts, st.integers(1, 9), st.integers(1, 40), st.integers(1, 400), st.integers(1, 60))
def test_ranks_and_micro_batches_share_every_pair_once(
    num_pairs: int, world_size: int, micro: int, batch: int, num_receptors: int
) -> None:
    """The engine's mean over ranks and micro-batches of the weighted sums is the weighted mean over the pairs."""
    generator = np.random.default_rng(num_pairs)
    pairs = generator.permutation(1000)[: min(num_pairs, batch)]
    losses, importance = generator.standard_normal(1000), generator.uniform(0, 3, 1000)
    receptor = generator.integers(0, num_receptors, len(pairs))
    lengths = generator.integers(8, 41, len(pairs)), generator.integers(41, 400, num_receptors)[receptor]
    num_micro = accumulation_steps(batch, micro, world_size)
    parts = equal_parts(receptor, *lengths, world_size * num_micro, micro)
    shares = [rank_share(pairs, importance[pairs], parts, rank, world_size) for rank in range(world_size)]
    assert all(len(share) == num_micro for share in shares)  # all ranks make the same number of forward passes
    counted = [part[weight > 0] for share in shares for part, weight, _ in share]
    assert sorted(np.concatenate(counted).tolist()) == sorted(pairs.tolist())
    assert all(0 < len(part) == len(weight) <= most <= micro for share in shares for part, weight, most in share)
    for of_micro in zip(*shares, strict=True):
        assert {most for _, _, most in of_micro} == {max(len(part) for part, _, _ in of_micro)}
    total = sum(float(losses[part] @ weight) for share in shares for part, weight, _ in share)
    expected = np.average(losses[pairs], weights=importance[pairs])
    assert total / (world_size * num_micro) == pytest.approx(expected, abs=1e-5)


def residues(part: np.ndarray, receptor: np.ndarray, ligand_length: np.ndarray, receptor_length: np.ndarray) -> int:
    """What a rank has to read for a part."""
    _, first = np.unique(receptor[part], return_index=True)
    return int(ligand_length[part].sum() + receptor_length[part][first].sum())


@pytest.mark.parametrize("num_parts", [2, 3, 4, 8])
@pytest.mark.parametrize("together", [1, 5, 16, 64])
@pytest.mark.parametrize("spare", [0, 40])
def test_every_part_has_about_as_many_residues(num_parts: int, together: int, spare: int) -> None:
    """Where a part may have more pairs than its share (`spare`), and where each must have exactly as many."""
    worst, more = 0.0, 0.0
    for seed in range(20):
        generator = np.random.default_rng(seed)
        receptor = np.arange(128) // together
        table = receptor, generator.integers(8, 41, 128), generator.integers(41, 400, 128)[receptor]
        parts = equal_parts(*table, num_parts, -(-128 // num_parts) + spare)
        work = [residues(part, *table) for part in parts]
        worst = max(worst, max(work) / np.mean(work) - 1)
        more = max(more, sum(work) / residues(np.arange(128), *table) - 1)
    if together == 1:
        assert worst < (0.03 if spare else 0.30)
        assert more == 0
    assert more <= (num_parts - 1) * 399 / 2000


def test_a_receptor_stays_whole_where_that_is_as_good() -> None:
    receptor = np.repeat([3, 1, 2, 0], 16)[np.random.default_rng(0).permutation(64)]
    parts = equal_parts(receptor, np.full(64, 9), np.full(64, 144), 2, 64)
    assert [len(np.unique(receptor[part])) for part in parts] == [2, 2]
    assert [len(part) for part in parts] == [32, 32]


def test_one_receptor_is_shared_where_there_is_no_other() -> None:
    parts = equal_parts(np.zeros(64, np.int64), np.full(64, 9), np.full(64, 144), 4, 64)
    assert sorted(np.concatenate(parts).tolist()) == list(range(64))
    assert min(map(len, parts)) > 0


def test_a_rank_without_a_pair_takes_part_with_weight_zero() -> None:
    pairs, importance = np.asarray([7, 8, 9]), np.asarray([1.0, 0.0, 3.0])
    parts = [np.asarray([0]), np.asarray([1]), np.asarray([2]), np.zeros(0, np.int64)]
    shares = [rank_share(pairs, importance, parts, rank, 2) for rank in range(2)]
    assert [[(p.tolist(), w.tolist(), most) for p, w, most in share] for share in shares] == [
        [([7], [1.0], 1), ([9], [3.0], 1)],
        [([8], [0.0], 1), ([7], [0.0], 1)],
    ]


def test_pairs_that_count_nothing() -> None:
    [(part, weight, most)] = rank_share(np.arange(3), np.zeros(3), [np.arange(3)], 0, 1)
    assert part.tolist() == [0, 1, 2]
    assert weight.tolist() == [0.0, 0.0, 0.0]
    assert most == 3
