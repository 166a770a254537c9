"""What is committed: pooled rows, refused values, and only what is damaged is computed again."""

from __future__ import annotations

import json
import random
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from hpc.errors import CorruptError
from snw_dist.embedding.store.commits import commit_shard, pool, shard_path
from snw_dist.embedding.store.group import finalize_part
from snw_dist.embedding.store.part_names import RECORDS
from tests.kit.embedding_tools import (
    DTYPES,
    SEQUENCES,
    WIDTH,
    as_zarr,
    committed,
    files_of,
    fill_store,
    filled_buffer,
    finished_store,
    flip_bit,
    open_store,
    rows_of,
    shard_rows_of,
    tensor_of,
)


@pytest.mark.parametrize("dtype", DTYPES)
def test_pooled_is_the_mean_of_what_is_stored(tmp_path: Path, dtype: str) -> None:
    plan = finished_store(tmp_path / "s", SEQUENCES, dtype)
    pooled = np.asarray(as_zarr(tmp_path / "s", "pooled")[...])
    assert pooled.dtype == np.float32
    expected = np.stack([tensor_of(rows_of(s), dtype).double().mean(0).numpy() for s in plan.sequences])
    np.testing.assert_allclose(pooled, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.bfloat16])
def test_a_mean_has_the_bits_that_the_sequence_gives_alone(dtype: torch.dtype) -> None:
    """Neighbours of equal length are pooled together, and stores say that their bytes do not depend on neighbours."""
    lengths = np.array([1] * 2000 + [9] * 200 + [64, 64, 65, 65, 65, 128, 900, 900, 3000])
    rows = torch.randn(int(lengths.sum()), 24, generator=torch.Generator().manual_seed(1)).to(dtype)
    pooled = pool(rows, lengths)
    for own, length, mean in zip(rows.split(lengths.tolist()), lengths, pooled, strict=True):
        values, total = own.float().numpy(), np.zeros(24)
        for first in range(0, length, 64):
            run = values[first].copy()
            for row in values[first + 1 : first + 64]:
                run += row
            total += run
        assert (total / length).astype(np.float32).tobytes() == mean.tobytes()


def test_pooling_long_sequences_loses_nothing() -> None:
    lengths = np.asarray([1, 63, 64, 65, 20_000])
    rows = torch.randn(int(lengths.sum()), 3, generator=torch.Generator().manual_seed(0)).add_(5.0).half()
    expected = np.stack([part.double().mean(0).numpy() for part in torch.split(rows, lengths.tolist())])
    np.testing.assert_allclose(pool(rows, lengths), expected, rtol=2e-7)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_value_that_is_not_finite_names_its_sequence(tmp_path: Path, dtype: str) -> None:
    plan = open_store(tmp_path / "s", SEQUENCES, dtype)
    first, second = (plan.sequences[i] for i in list(plan.shard_sequences(0))[-2:])
    for bad, row, value in ((first, -len(second) - 1, np.inf), (second, -len(second), np.nan), (second, -1, 3.4e38)):
        rows = shard_rows_of(plan, 0)
        rows[row, 3] = value
        if dtype == "float32" and value == 3.4e38:
            continue  # fits
        with pytest.raises(CorruptError, match=re.escape(f"the embedding of {bad[:20]}... ({len(bad)} residues)")):
            commit_shard(tmp_path / "s", plan, 0, filled_buffer(plan, 0, dtype, rows))
        assert not shard_path(tmp_path / "s", 0).exists()
        assert committed(tmp_path / "s", plan) == set()


def test_float16_overflow_says_what_to_do(tmp_path: Path) -> None:
    plan = open_store(tmp_path / "s", SEQUENCES, "float16")
    rows = shard_rows_of(plan, 0)
    rows[2, 0] = 70_000.0
    with pytest.raises(CorruptError, match=r"shard 0, row 2: .*not finite as float16\. Try store\.dtype float32"):
        commit_shard(tmp_path / "s", plan, 0, filled_buffer(plan, 0, "float16", rows))


def test_a_gap_between_chunks_holds_zeros(tmp_path: Path) -> None:
    """No reader looks there, but what is committed has one content and no other."""
    path = tmp_path / "s"
    plan = open_store(path, SEQUENCES, "float16")
    fill_store(path, plan)
    flip_bit(shard_path(path, 2), 8 * (8 * WIDTH * 2 + 4) + 3)
    assert committed(path, plan) == set(range(plan.num_shards)) - {2}


def test_only_what_is_damaged_is_computed_again(tmp_path: Path) -> None:
    path = tmp_path / "s"
    plan = open_store(path, SEQUENCES)
    everything = set(range(plan.num_shards))
    assert committed(path, plan) == set()
    fill_store(path, plan, [2, 0])
    assert committed(path, plan) == {0, 2}
    fill_store(path, plan)
    assert committed(path, plan) == everything

    (path / RECORDS / "00000001.safetensors").unlink()  # killed between the shard and its record
    assert committed(path, plan) == everything - {1}
    with pytest.raises(CorruptError, match=f"shard 1 of {plan.num_shards} is not committed"):
        finalize_part(path, plan)
    flip_bit(shard_path(path, 0), 999)
    shard_path(path, 2).unlink()
    todo = everything - committed(path, plan)
    assert todo == {0, 1, 2}
    fill_store(path, plan, sorted(todo))
    finalize_part(path, plan)
    finished_store(tmp_path / "clean", SEQUENCES)
    assert files_of(path) == files_of(tmp_path / "clean")


def test_a_record_of_other_sequences_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "s"
    plan = open_store(path, SEQUENCES)
    fill_store(path, plan)
    shutil.copy(path / RECORDS / "00000000.safetensors", path / RECORDS / "00000001.safetensors")
    shutil.copy(shard_path(path, 0), shard_path(path, 1))
    assert 1 not in committed(path, plan)


def test_a_damaged_record_is_computed_again_or_still_right(tmp_path: Path) -> None:
    """The record holds the pooled rows: a flip in it must never reach the store."""
    path = tmp_path / "s"
    plan = open_store(path, SEQUENCES)
    fill_store(path, plan)
    everything = set(range(plan.num_shards))
    file = path / RECORDS / "00000001.safetensors"
    good = file.read_bytes()
    header = 8 + int.from_bytes(good[:8], "little")
    generator = random.Random(0)
    bits = [generator.randrange(8 * len(good)) for _ in range(150)] + list(range(64, 8 * header, 11))
    for bit in bits:
        flip_bit(file, bit)
        found = committed(path, plan)
        assert found in (everything, everything - {1})
        if bit // 8 >= header:
            assert found == everything - {1}
        file.write_bytes(good)
    for size in (0, 7, 8, header, len(good) - 1):
        file.write_bytes(good[:size])
        assert committed(path, plan) == everything - {1}
    metadata = json.dumps({"__metadata__": {"record": "[]"}}).encode()
    file.write_bytes(len(metadata).to_bytes(8, "little") + metadata)
    assert committed(path, plan) == everything - {1}
