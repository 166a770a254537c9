"""Writing in the background, and what is said before a job starts."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from hpc.errors import CorruptError, EnvironmentProblem
from hpc.save.fence import Fence
from snw_dist.embedding.estimate import StoreEstimate
from snw_dist.embedding.store import writer as writer_module
from snw_dist.embedding.store.commits import shard_buffer
from snw_dist.embedding.store.group import create_part, finalize_part
from snw_dist.embedding.store.part_names import RECORDS
from snw_dist.embedding.store.part_plan import PartPlan
from snw_dist.embedding.store.plan import EmbeddingPlan, plan_embedding
from snw_dist.embedding.store.writer import ShardWriter
from tests.kit.embedding_tools import (
    ENCODER,
    WIDTH,
    committed,
    files_of,
    fill_store,
    filled_buffer,
    open_store,
    random_sequences,
)
from tests.kit.ranks import small_disk

SEQUENCES = random_sequences([1, 1, 2, 3, 5, 8, 8, 9, 13, 16, 17, 30, 32], seed=3)


def writer_of(path: Path, plan: EmbeddingPlan, width: int = WIDTH) -> ShardWriter:
    return ShardWriter(path, plan, width, torch.float16, Fence(path / RECORDS, "attempt", "attempt_0.json"))


def test_a_shard_is_written_while_the_next_is_filled(tmp_path: Path) -> None:
    path = tmp_path / "s"
    plan = open_store(path, SEQUENCES, "float16")
    with writer_of(path, plan) as writer:
        buffers = []
        for shard in range(plan.num_shards):
            buffers.append(writer.buffer)
            writer.buffer[:] = filled_buffer(plan, shard, "float16")
            writer.commit(shard)
    assert buffers[0] is not buffers[1]
    assert buffers[0] is buffers[2]
    assert committed(path, plan) == set(range(plan.num_shards))
    assert not [thread for thread in threading.enumerate() if "shard-writer" in thread.name]
    assert writer.written_bytes == sum(
        (path / "residues" / f"c.{i}.0").stat().st_size for i in range(plan.num_shards)
    ) - (plan.num_shards * (16 * 4 + 4))


def test_three_shards_of_a_gpu_are_written_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s"
    plan = open_store(path, SEQUENCES, "float16")
    all_three, commit = threading.Barrier(3, timeout=60), writer_module.commit_shard

    def together(part: Path, plan: EmbeddingPlan, shard: int, *others: Any) -> int:
        if shard < 3:
            all_three.wait()
        return commit(part, plan, shard, *others)

    def unpinned(plan: EmbeddingPlan, width: int, dtype: torch.dtype, pinned: bool) -> torch.Tensor:
        assert pinned  # there is no such memory without a GPU
        return shard_buffer(plan, width, dtype)

    monkeypatch.setattr(writer_module, "commit_shard", together)
    monkeypatch.setattr(writer_module, "shard_buffer", unpinned)
    fence = Fence(path / RECORDS, "attempt", "attempt_0.json")
    with ShardWriter(path, plan, WIDTH, torch.float16, fence, from_gpu=True) as writer:
        buffers = []
        for shard in range(plan.num_shards):
            assert all(writer.buffer is not buffer for buffer in buffers[-3:])
            buffers.append(writer.buffer)
            writer.buffer[:] = filled_buffer(plan, shard, "float16")
            writer.commit(shard)
    assert committed(path, plan) == set(range(plan.num_shards))
    fill_store(tmp_path / "one by one", open_store(tmp_path / "one by one", SEQUENCES, "float16"))
    assert files_of(path / "residues") == files_of(tmp_path / "one by one" / "residues")


@pytest.mark.parametrize(
    ("num_bytes", "at_once"), [(31 * 2**20, 3), (2**30, 3), (2**30 + 1, 2), (2**31, 1), (2**40, 1)]
)
def test_fewer_shards_are_written_at_once_where_they_are_large(num_bytes: int, at_once: int) -> None:
    """All of them are in memory, and in use by one rank of several on a node."""
    assert writer_module._at_once(num_bytes) == at_once


def write(path: Path, plan: EmbeddingPlan, value: float, shards: int, width: int = WIDTH, newer: bool = False) -> None:
    """Commit some shards that hold one value; `newer`: another attempt begins meanwhile."""
    with writer_of(path, plan, width) as writer:
        if newer:
            Fence(path / RECORDS, "newer", "attempt_0.json")
        for shard in range(shards):
            writer.buffer[:] = value
            writer.commit(shard)


def test_what_goes_wrong_in_the_background_is_raised_and_later_shards_are_not_written(tmp_path: Path) -> None:
    plan = open_store(tmp_path / "s", SEQUENCES, "float16")
    with pytest.raises(CorruptError, match="not finite as float16"):
        write(tmp_path / "s", plan, torch.inf, 2)
    assert committed(tmp_path / "s", plan) == set()


def test_a_stale_attempt_does_not_write(tmp_path: Path) -> None:
    plan = open_store(tmp_path / "s", SEQUENCES, "float16")
    with pytest.raises(EnvironmentProblem, match="superseded by attempt newer"):
        write(tmp_path / "s", plan, 1.0, 1, newer=True)
    assert committed(tmp_path / "s", plan) == set()


def test_tasks_of_an_array_do_not_supersede_each_other(tmp_path: Path) -> None:
    fences = [Fence(tmp_path, f"attempt-{task}", f"attempt_{task}.json") for task in range(3)]
    for fence in fences:
        fence.check()


def test_a_full_disk_is_said_with_the_free_space_and_leaves_no_part(tmp_path: Path) -> None:
    sequences = random_sequences([60] * 100)
    plan = plan_embedding(sequences, 2048, 64)
    with small_disk(tmp_path / "disk") as disk:
        create_part(disk / "s", plan, PartPlan(0, disk / "s", plan, [], 0).header(ENCODER, "float16", 200), [])
        with pytest.raises(CorruptError, match=r"shard \d cannot be written: .* GB free.*shards are kept") as caught:
            write(disk / "s", plan, 1.0, plan.num_shards, width=200)
        assert caught.value.exit_code == 3
        assert not [name for name in files_of(disk / "s") if name.endswith(".partial")]


def test_the_estimate_is_what_is_written(tmp_path: Path) -> None:
    path = tmp_path / "s"
    plan = open_store(path, SEQUENCES, "float16")
    estimate = StoreEstimate.of(PartPlan(0, path, plan, [], 0), WIDTH, "float16")
    assert (estimate.num_sequences, estimate.num_residues) == (13, sum(map(len, SEQUENCES)))
    with writer_of(path, plan) as writer:
        for shard in range(plan.num_shards):
            writer.buffer[:] = filled_buffer(plan, shard, "float16")
            writer.commit(shard)
    assert len(files_of(path)) <= estimate.num_files
    shards = sum(len(data) for name, data in files_of(path).items() if "residues/c." in name)
    finalize_part(path, plan)
    assert shards == estimate.num_bytes - 2 * 13 * WIDTH * 4 + 4 * plan.num_shards
