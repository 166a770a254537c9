"""Which pair is in which step, and the learning rate of it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snw_dist.train.plan import TrainPlan, epoch_order, learning_rate
from snw_dist.trained_run.trajectory import accumulation_steps

counts = st.integers(1, 200)


def plan_of(num_pairs: int, batch: int, epochs: int, most: int | None, seed: int, together: int = 1) -> TrainPlan:
    """Of pairs whose receptors are all different."""
    return TrainPlan(np.arange(num_pairs), batch, epochs, most, seed, together)


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
    plan = plan_of(pairs, batch, epochs, most, seed=1)
    assert (plan.steps_per_epoch, plan.num_steps) == (per_epoch, steps)


@given(counts, counts, st.integers(0, 2**32 - 1), st.integers(0, 5))
def test_each_pair_exactly_once_an_epoch(num_pairs: int, batch: int, seed: int, epoch: int) -> None:
    receptor = np.random.default_rng(seed).integers(0, 1 + num_pairs // 7, num_pairs)
    plan = TrainPlan(receptor, batch, epoch + 1, None, seed, pairs_per_receptor=1 + seed % 20)
    first = epoch * plan.steps_per_epoch
    steps = [plan.pairs_of_step(step) for step in range(first, first + plan.steps_per_epoch)]
    assert sorted(np.concatenate(steps).tolist()) == list(range(num_pairs))
    sizes = [len(step) for step in steps]
    assert len(sizes) == -(-num_pairs // batch)
    assert 1 <= min(sizes) <= max(sizes) <= min(batch, min(sizes) + 1)
    assert [s.tolist() for s in steps] == [plan.pairs_of_step(first + i).tolist() for i in range(len(steps))]


def test_the_order_is_the_same_on_every_machine_and_differs_between_epochs() -> None:
    plan = plan_of(10, 4, 2, None, seed=1)
    assert [plan.pairs_of_step(step).tolist() for step in range(6)] == GOLDEN
    assert plan_of(10, 4, 2, None, seed=2).pairs_of_step(0).tolist() != GOLDEN[0]
    assert plan_of(10, 4, 7, 3, seed=1).pairs_of_step(4).tolist() == GOLDEN[4]


GOLDEN = [[0, 1, 7], [8, 9, 4], [3, 5, 2, 6], [2, 4, 7], [8, 5, 9], [1, 0, 3, 6]]


def test_what_is_left_is_no_step_of_its_own() -> None:
    """Two pairs of 258 were a whole step of the optimiser, and their loss a point of the curve."""
    plan = plan_of(258, 128, 2, None, seed=1)
    assert [len(plan.pairs_of_step(step)) for step in range(plan.num_steps)] == [86] * 6


def test_every_step_fits_into_its_micro_batches_on_any_number_of_ranks() -> None:
    plan = plan_of(1001, 100, 1, None, seed=1)
    for ranks, micro in [(1, 7), (3, 20), (16, 3), (100, 1)]:
        room = accumulation_steps(100, micro, ranks) * micro * ranks
        assert all(len(plan.pairs_of_step(step)) <= room for step in range(plan.num_steps))


def test_pairs_of_a_receptor_come_in_runs() -> None:
    receptor = np.repeat([5, 7, 9], [100, 33, 1])
    order = epoch_order(receptor, 16, seed=1, epoch=0)
    assert sorted(order.tolist()) == list(range(134))
    ends = np.flatnonzero(np.diff(receptor[order])) + 1
    runs = [len(run) for run in np.split(receptor[order], ends)]
    assert len(runs) <= 11  # 7 + 3 + 1, and where two of one receptor meet they look like one
    assert sum(length % 16 for length in runs) == 100 % 16 + 33 % 16 + 1
    assert max(np.abs(np.diff(order[receptor[order] == 5]))) > 1  # the pairs of a receptor are shuffled too


def test_runs_of_a_receptor_fall_anywhere_in_the_epoch() -> None:
    receptor = np.arange(4000) % 40
    orders = [receptor[epoch_order(receptor, 10, seed=3, epoch=epoch)] for epoch in range(2)]
    for order in orders:
        assert len(np.unique(order[:400])) > 20
        first_of_7 = np.flatnonzero(order == 7)
        assert first_of_7[0] < 1000 < 3000 < first_of_7[-1]
    assert not np.array_equal(*orders)


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
