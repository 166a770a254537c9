"""Which pair is in which step on which rank, and with which weight."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snw_dist.train.plan import TrainPlan, accumulation_steps, largest_share, learning_rate, rank_share

counts = st.integers(1, 200)


@pytest.mark.parametrize(
    ("pairs", "batch", "epochs", "most", "per_epoch", "steps"),
    [
        (10, 5, 2, None, 2, 4),
        (11, 5, 2, None, 3, 6),
        (1, 128, 3, None, 1, 3),
        (11, 5, 2, 4, 3, 4),
        (11, 5, 2, 100, 3, 6),
    ],
)
def test_the_number_of_steps(pairs: int, batch: int, epochs: int, most: int | None, per_epoch: int, steps: int) -> None:
    plan = TrainPlan(pairs, batch, epochs, most, seed=1)
    assert (plan.steps_per_epoch, plan.num_steps) == (per_epoch, steps)


@given(counts, counts, st.integers(0, 2**32 - 1), st.integers(0, 5))
def test_each_pair_exactly_once_an_epoch(num_pairs: int, batch: int, seed: int, epoch: int) -> None:
    plan = TrainPlan(num_pairs, batch, epoch + 1, None, seed)
    first = epoch * plan.steps_per_epoch
    steps = [plan.pairs_of_step(step) for step in range(first, first + plan.steps_per_epoch)]
    assert sorted(np.concatenate(steps).tolist()) == list(range(num_pairs))
    assert all(len(step) == batch for step in steps[:-1])
    assert 1 <= len(steps[-1]) <= batch
    assert [s.tolist() for s in steps] == [plan.pairs_of_step(first + i).tolist() for i in range(len(steps))]


def test_the_order_is_the_same_on_every_machine_and_differs_between_epochs() -> None:
    plan = TrainPlan(10, 4, 2, None, seed=1)
    assert [plan.pairs_of_step(step).tolist() for step in range(6)] == GOLDEN
    assert TrainPlan(10, 4, 2, None, seed=2).pairs_of_step(0).tolist() != GOLDEN[0]
    assert TrainPlan(10, 4, 7, 3, seed=1).pairs_of_step(4).tolist() == GOLDEN[4]


GOLDEN = [[8, 4, 7, 0], [1, 2, 5, 9], [6, 3], [7, 2, 4, 6], [1, 0, 3, 5], [9, 8]]


@pytest.mark.parametrize(
    ("batch", "micro", "ranks", "steps"),
    [(128, 128, 1, 1), (128, 64, 2, 1), (128, 32, 2, 2), (100, 32, 3, 2), (1, 8, 8, 1)],
)
def test_accumulation_steps(batch: int, micro: int, ranks: int, steps: int) -> None:
    assert accumulation_steps(batch, micro, ranks) == steps


@given(counts, st.integers(1, 9), st.integers(1, 40), st.integers(1, 400))
def test_ranks_and_micro_batches_share_every_pair_once(num_pairs: int, world_size: int, micro: int, batch: int) -> None:
    """The engine's mean over ranks and micro-batches of the weighted sums is the weighted mean over the pairs."""
    generator = np.random.default_rng(num_pairs)
    pairs = generator.permutation(1000)[: min(num_pairs, batch)]
    losses, importance = generator.standard_normal(1000), generator.uniform(0, 3, 1000)
    num_micro = accumulation_steps(batch, micro, world_size)
    shares = [rank_share(pairs, importance[pairs], rank, world_size, num_micro) for rank in range(world_size)]
    assert all(len(share) == num_micro for share in shares)  # all ranks make the same number of forward passes
    counted = [part[weight > 0] for share in shares for part, weight in share]
    assert sorted(np.concatenate(counted).tolist()) == sorted(pairs.tolist())
    most = largest_share(len(pairs), world_size, num_micro)
    assert all(0 < len(part) == len(weight) <= most <= micro for share in shares for part, weight in share)
    total = sum(float(losses[part] @ weight) for share in shares for part, weight in share)
    expected = np.average(losses[pairs], weights=importance[pairs])
    assert total / (world_size * num_micro) == pytest.approx(expected, abs=1e-5)


def test_a_rank_without_a_pair_takes_part_with_weight_zero() -> None:
    pairs, importance = np.asarray([7, 8, 9]), np.asarray([1.0, 0.0, 3.0])
    assert [[(p.tolist(), w.tolist()) for p, w in rank_share(pairs, importance, rank, 2, 2)] for rank in range(2)] == [
        [([7], [1.0]), ([9], [3.0])],
        [([8], [0.0]), ([7], [0.0])],
    ]


def test_pairs_that_count_nothing() -> None:
    [(part, weight)] = rank_share(np.arange(3), np.zeros(3), 0, 1, 1)
    assert part.tolist() == [0, 1, 2]
    assert weight.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("step", "rate"),
    [(0, 0.25), (1, 0.5), (2, 0.75), (3, 1.0), (4, 1.0), (7, 0.55), (10, 0.1), (11, 0.1)],
)
def test_the_learning_rate_of_a_step(step: int, rate: float) -> None:
    """Four steps up, then a cosine over the seven others: half way down at the middle one."""
    assert learning_rate(step, 11, 1.0, 4, 0.1) == pytest.approx(rate)


@given(st.integers(1, 500), st.integers(0, 600), st.floats(0, 1))
def test_the_learning_rate_rises_then_falls(num_steps: int, warmup: int, ratio: float) -> None:
    rates = [learning_rate(step, num_steps, 2.0, warmup, ratio) for step in range(num_steps)]
    assert max(rates) == pytest.approx(2.0)
    assert all(0.0 < rate <= 2.0 + 1e-12 or ratio == 0.0 for rate in rates)
    top = rates.index(max(rates))
    assert all(a <= b for a, b in pairwise(rates[: top + 1]))
    assert all(a >= b - 1e-12 for a, b in pairwise(rates[top:]))
    if num_steps > 2:
        assert rates[-1] == pytest.approx(2.0 * ratio)
