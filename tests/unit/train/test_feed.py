"""What the ranks are fed: the pairs of a step whatever their number, and the same batches wherever a run begins."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch

from hpc.errors import CorruptError
from snw_dist.embedding.store.commits import shard_path
from snw_dist.embedding.store.reader import StoreReader
from snw_dist.model.operations import Operations
from snw_dist.predict.batches import IndexedPairs, PairBatch
from snw_dist.train.feed import Feed, StepBatches
from snw_dist.train.meter import Meter
from snw_dist.train.plan import TrainPlan
from tests.kit.train_tools import stored

CPU = torch.device("cpu")
NUM_PAIRS = 90
METER = Meter(Operations(np.zeros(7), np.zeros(7), np.array([1.0, 0, 0, 0])), limit=1.0)
"""For which an operation is a pair."""


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> StoreReader:
    letters = np.random.default_rng(0)
    lengths = [*letters.integers(5, 12, 40), *letters.integers(10, 60, 12)]
    sequences = ["".join(letters.choice(list("ACDEFGHIKLMNPQRSTVWY"), length)) for length in lengths]
    return stored(tmp_path_factory.mktemp("feed") / "store.zarr", sequences)


@pytest.fixture(scope="module")
def table(reader: StoreReader) -> IndexedPairs:
    """Labels that are the numbers of the pairs."""
    draw = np.random.default_rng(1)
    sides = draw.integers(0, 40, NUM_PAIRS), draw.integers(40, 52, NUM_PAIRS)
    return IndexedPairs(
        *sides, np.arange(NUM_PAIRS, dtype=np.float32), np.zeros(NUM_PAIRS, bool), draw.uniform(0.5, 2, NUM_PAIRS)
    )


def steps_of(
    table: IndexedPairs, reader: StoreReader, rank: int = 0, world_size: int = 1, first: int = 0, micro: int = 20
) -> list[StepBatches]:
    plan = TrainPlan(table.receptor, 20, 2, None, seed=5, pairs_per_receptor=4)
    feed = Feed(
        table, reader, plan, METER, first_step=first, rank=rank, world_size=world_size, micro_batch_size=micro,
        max_length=50, device=CPU,
    )  # fmt: skip
    steps = [next(feed) for _ in range(plan.num_steps - first)]
    with pytest.raises(StopIteration):
        next(feed)
    feed.close()
    return steps


def pairs_of(steps: list[StepBatches]) -> list[list[int]]:
    """Numbers of the pairs of each step that count."""
    return [
        [int(number) for batch, _ in step.micro_batches for number in batch.target.label[batch.target.weight > 0]]
        for step in steps
    ]


@pytest.mark.parametrize(("world_size", "micro"), [(1, 7), (2, 20), (3, 20), (4, 2), (30, 1)])
def test_the_ranks_share_the_pairs_of_one_process(
    table: IndexedPairs, reader: StoreReader, world_size: int, micro: int
) -> None:
    alone = steps_of(table, reader)
    shares = [steps_of(table, reader, rank, world_size, micro=micro) for rank in range(world_size)]
    for number, pairs in enumerate(pairs_of(alone)):
        of_ranks = [pairs_of(share)[number] for share in shares]
        assert sorted(chain.from_iterable(of_ranks)) == sorted(pairs)
        assert len({len(share[number].micro_batches) for share in shares}) == 1
        assert {share[number].num_pairs for share in shares} == {len(pairs)}
        assert {share[number].operations for share in shares} == {len(pairs)}
    assert sorted(chain.from_iterable(pairs_of(alone)[:5])) == list(range(NUM_PAIRS))


@pytest.mark.parametrize("first", [1, 4, 5, 9])
def test_a_run_goes_on_with_the_batches_it_would_have_had(table: IndexedPairs, reader: StoreReader, first: int) -> None:
    whole, rest = steps_of(table, reader, 1, 2)[first:], steps_of(table, reader, 1, 2, first)
    for expected, step in zip(whole, rest, strict=True):
        for (one, _), (other, _) in zip(expected.micro_batches, step.micro_batches, strict=True):
            assert one.ligand.lengths == other.ligand.lengths
            assert one.receptor.lengths == other.receptor.lengths
            assert all(torch.equal(a, b) for a, b in zip(tensors_of(one), tensors_of(other), strict=True))


def tensors_of(batch: PairBatch) -> list[torch.Tensor]:
    return [item for part in batch for item in part if isinstance(item, torch.Tensor)]


def test_the_mean_of_a_step_is_weighted_by_what_pairs_count(table: IndexedPairs, reader: StoreReader) -> None:
    [(batch, num_rows)] = steps_of(table, reader)[0].micro_batches
    numbers = batch.target.label.long().numpy()
    assert num_rows == len(numbers) == 18  # 90 pairs in five steps
    np.testing.assert_allclose(batch.target.weight, table.weight[numbers] / table.weight[numbers].sum(), rtol=1e-6)


def test_damage_that_the_thread_meets_stops_the_step(tmp_path: Path, table: IndexedPairs) -> None:
    broken = stored(tmp_path / "s", ["ACDEF" * 8, "LMN"])
    shard_path(tmp_path / "s", 0).unlink()
    few = IndexedPairs(
        np.zeros(4, np.int64), np.ones(4, np.int64), *(column[:4] for column in list(vars(table).values())[2:])
    )
    with pytest.raises(CorruptError, match="shard 0"):
        steps_of(few, broken)
