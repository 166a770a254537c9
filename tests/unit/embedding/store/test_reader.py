"""The store against plain zarr-python, and against damage."""

from __future__ import annotations

import json
import random
import re
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr

from hpc.errors import CorruptError, InputError
from snw_dist.embedding.row_reader import read_rows
from snw_dist.embedding.store.commits import commit_shard, pool, shard_path
from snw_dist.embedding.store.dtypes import as_logical
from snw_dist.embedding.store.group import create_part, finalize_part
from snw_dist.embedding.store.header import check_same_plan, read_header
from snw_dist.embedding.store.open_shard import OpenShard
from snw_dist.embedding.store.part_names import RECORDS
from snw_dist.embedding.store.plan import plan_embedding, sequence_digest
from snw_dist.embedding.store.reader import StoreReader
from snw_dist.embedding.store.shard_file import ShardLayout, crc32c, shard_digest, shard_index, write_shard
from tests.kit.embedding_tools import (
    WIDTH,
    committed,
    files_of,
    fill_store,
    filled_buffer,
    finished_store,
    flip_bit,
    header_of,
    names_of,
    open_store,
    random_sequences,
    rows_of,
    shard_rows_of,
)

DTYPES = ("float32", "float16", "bfloat16")
SEQUENCES = random_sequences([1, 1, 2, 3, 5, 8, 8, 9, 13, 16, 17, 30, 32], seed=3)


def as_zarr(path: Path, name: str) -> zarr.Array:
    array = zarr.open_group(path, mode="r")[name]
    assert isinstance(array, zarr.Array)
    return array


def tensor_of(rows: np.ndarray, dtype: str) -> torch.Tensor:
    """Rounding by torch, as a second opinion on ours."""
    return torch.from_numpy(rows).to(getattr(torch, dtype))


# ---- bytes of one shard


def test_crc32c_of_the_check_string() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # the check value of CRC-32C (Castagnoli)


def test_the_index_by_hand() -> None:
    index = shard_index(3, 2, 100)
    missing = 2**64 - 1
    expected = struct.pack("<6Q", 0, 104, 128, 104, missing, missing)
    assert index == expected + struct.pack("<I", crc32c(expected))


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint16"])
@pytest.mark.parametrize("num_present", [0, 1, 3, 4])
def test_a_shard_of_ours_is_read_by_zarr(tmp_path: Path, dtype: str, num_present: int) -> None:
    fill = 7 if dtype == "uint16" else float("nan")
    group = zarr.open_group(tmp_path / "z", mode="w", zarr_format=3)
    group.create_array(
        "residues",
        shape=(32, 5),
        shards=(16, 5),
        chunks=(4, 5),
        dtype=dtype,
        fill_value=fill,
        compressors=[zarr.codecs.Crc32cCodec()],
        chunk_key_encoding={"name": "default", "separator": "."},
    )
    values = np.random.default_rng(0).integers(0, 60000, (4 * num_present, 5)).astype(dtype)
    file = tmp_path / "z" / "residues" / "c.1.0"
    layout = ShardLayout(4, 4 * 5 * values.itemsize)
    digest = write_shard(file, values, layout)
    opened = OpenShard(file, layout)
    assert (opened.num_present, opened.digest()) == (num_present, digest)
    read = as_zarr(tmp_path / "z", "residues")[...]
    expected = np.full((32, 5), fill, dtype=dtype)
    expected[16 : 16 + len(values)] = values
    np.testing.assert_array_equal(read, expected)


def test_what_identifies_a_shard_is_not_the_crc_of_its_file(tmp_path: Path) -> None:
    """A CRC over data and its own CRC is a constant, so every whole shard has a file of the same crc32c."""
    layout, files = ShardLayout(4, 40), [tmp_path / "a", tmp_path / "b"]
    values = [np.random.default_rng(seed).random((20, 2)).astype("<f4") for seed in range(2)]
    digests = [write_shard(file, rows, layout) for file, rows in zip(files, values, strict=True)]
    assert crc32c(files[0].read_bytes()) == crc32c(files[1].read_bytes())
    assert digests[0] != digests[1]
    crcs = [crc32c(values[0][i : i + 5].tobytes()) for i in range(0, 20, 5)]
    assert digests[0] == shard_digest(crcs) != shard_digest(crcs[::-1])


# ---- the whole store


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_reader_and_zarr_agree_with_what_was_written(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "store.zarr"
    plan = finished_store(path, SEQUENCES, dtype)
    assert plan.num_shards > 3
    header = read_header(path)
    assert (header.logical_dtype, header.complete, header.row_width) == (dtype, True, WIDTH)
    residues = as_zarr(path, "residues")
    assert residues.dtype == ("uint16" if dtype == "bfloat16" else dtype)
    offsets, lengths = (np.asarray(as_zarr(path, name)[...]) for name in ("offsets", "lengths"))
    np.testing.assert_array_equal(offsets, plan.offsets)
    np.testing.assert_array_equal(lengths, plan.lengths)
    reader = StoreReader(path)
    assert reader.dtype == getattr(torch, dtype)
    order = list(range(len(SEQUENCES)))
    random.Random(0).shuffle(order)
    for i in order:
        sequence = SEQUENCES[i]
        index = reader.index(sequence)
        assert plan.sequences[index] == sequence
        read = read_rows(reader, index)
        assert torch.equal(read, tensor_of(rows_of(sequence), dtype))
        by_zarr = np.asarray(residues[offsets[index] : offsets[index] + lengths[index]])
        assert torch.equal(read.float(), as_logical(by_zarr, dtype).float())
        for start, stop in ((0, 1), (len(sequence) // 2, None), (len(sequence) - 1, 10**6)):
            assert torch.equal(read_rows(reader, index, start, stop), read[start:stop])
    assert reader.indices(SEQUENCES).tolist() == [plan.sequences.index(s) for s in SEQUENCES]


@pytest.mark.parametrize("dtype", DTYPES)
def test_padding_is_nan(tmp_path: Path, dtype: str) -> None:
    plan = finished_store(tmp_path / "s", SEQUENCES, dtype)
    whole = as_logical(np.asarray(as_zarr(tmp_path / "s", "residues")[...]), dtype).float().numpy()
    data = np.zeros(len(whole), dtype=bool)
    for offset, length in zip(plan.offsets, plan.lengths, strict=True):
        data[offset : offset + length] = True
    assert np.isfinite(whole[data]).all()
    assert np.isnan(whole[~data]).all()
    assert (~data).any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_pooled_is_the_mean_of_what_is_stored(tmp_path: Path, dtype: str) -> None:
    plan = finished_store(tmp_path / "s", SEQUENCES, dtype)
    pooled = np.asarray(as_zarr(tmp_path / "s", "pooled")[...])
    assert pooled.dtype == np.float32
    expected = np.stack([tensor_of(rows_of(s), dtype).double().mean(0).numpy() for s in plan.sequences])
    np.testing.assert_allclose(pooled, expected, rtol=1e-6, atol=1e-7)


def test_pooling_long_sequences_loses_nothing() -> None:
    lengths = np.asarray([1, 63, 64, 65, 20_000])
    rows = torch.randn(int(lengths.sum()), 3, generator=torch.Generator().manual_seed(0)).add_(5.0).half()
    expected = np.stack([part.double().mean(0).numpy() for part in torch.split(rows, lengths.tolist())])
    np.testing.assert_allclose(pool(rows, lengths), expected, rtol=2e-7)


def test_names_digests_and_commits(tmp_path: Path) -> None:
    path = tmp_path / "s"
    plan = finished_store(path, SEQUENCES)
    tables = {name: np.asarray(as_zarr(path, name)[...]) for name in ("ids", "id_sequence", "digests", "commits")}
    names = [tuple(line.split("\t")) for line in tables["ids"].tobytes().decode().split("\n")]
    assert [(*name, index) for name, index in zip(names, tables["id_sequence"].tolist(), strict=True)] == names_of(plan)
    assert [digest.tobytes() for digest in tables["digests"]] == [sequence_digest(s) for s in plan.sequences]
    for shard, (digest, text_crc) in enumerate(tables["commits"].tolist()):
        assert digest == OpenShard(shard_path(path, shard), ShardLayout(4, 8 * WIDTH * 4)).digest()
        text = "\n".join(plan.sequences[i] for i in plan.shard_sequences(shard))
        assert text_crc == crc32c(text.encode())
    assert not (path.parent / "Äther").exists()  # a name is never a path


def test_a_finished_store_is_a_clean_group(tmp_path: Path) -> None:
    """Warnings are errors here, so a foreign file or folder in the group would fail this test."""
    path = tmp_path / "s"
    plan = open_store(path, SEQUENCES)
    fill_store(path, plan)
    (path / ".zarr.json.0a1b2c.partial").write_bytes(b"a killed writer left this")
    (path / "residues" / ".c.0.0.0a1b2c.partial").write_bytes(b"and this")
    finalize_part(path, plan)
    group = zarr.open_group(path, mode="r")
    names = {"residues", "offsets", "lengths", "digests", "ids", "id_sequence", "pooled", "commits"}
    assert {name for name, _ in group.members()} == names
    assert "residues" in str(group.tree())
    assert {f.name for f in path.iterdir()} == names | {"zarr.json"}
    assert {f.name for f in (path / "residues").iterdir()} == {"zarr.json"} | {
        f"c.{shard}.0" for shard in range(plan.num_shards)
    }
    assert all(array.nchunks_initialized == array.nchunks for _, array in group.arrays())


def test_the_order_of_the_shards_leaves_no_trace(tmp_path: Path) -> None:
    plan = finished_store(tmp_path / "a", SEQUENCES, "float16")
    order = list(range(plan.num_shards))
    random.Random(1).shuffle(order)
    finished_store(tmp_path / "b", [*SEQUENCES[::-1], SEQUENCES[0]], "float16", [*order, order[0]])
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


def test_finishing_twice_changes_nothing(tmp_path: Path) -> None:
    """A kill anywhere in the last step is met by doing it again."""
    plan = open_store(tmp_path / "s", SEQUENCES)
    fill_store(tmp_path / "s", plan)
    shutil.copytree(tmp_path / "s" / RECORDS, tmp_path / "parts")
    finalize_part(tmp_path / "s", plan)
    before = files_of(tmp_path / "s")
    shutil.copytree(tmp_path / "parts", tmp_path / "s" / RECORDS)
    shutil.rmtree(tmp_path / "s" / "commits")
    finalize_part(tmp_path / "s", plan)
    assert files_of(tmp_path / "s") == before


# ---- what is refused


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


def test_no_store_and_no_zarr(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no embedding store.*launch/embed\.py"):
        StoreReader(tmp_path / "s")
    (tmp_path / "s").mkdir()
    version = '"format_version": 2'
    for content in ("", "[]", "{}", f'{{"attributes": {{"shape": 1e12, {version}}}}}', '{"attributes": 3}'):
        (tmp_path / "s" / "zarr.json").write_text(content)
        with pytest.raises(CorruptError, match="not the header of an embedding store"):
            StoreReader(tmp_path / "s")


def test_a_store_of_another_version(tmp_path: Path) -> None:
    open_store(tmp_path / "s", SEQUENCES)
    file = tmp_path / "s" / "zarr.json"
    file.write_text(file.read_text().replace('"format_version": 2', '"format_version": 1'))
    with pytest.raises(CorruptError, match="format version 1, this program reads 2"):
        read_header(tmp_path / "s")


def test_an_incomplete_store_is_not_read(tmp_path: Path) -> None:
    plan = open_store(tmp_path / "s", SEQUENCES)
    fill_store(tmp_path / "s", plan)
    with pytest.raises(InputError, match="embedding has not finished") as caught:
        StoreReader(tmp_path / "s")
    assert caught.value.exit_code == 2


def test_another_encoder_or_input_is_refused_by_name(tmp_path: Path) -> None:
    plan = open_store(tmp_path / "s", SEQUENCES, "float16")
    present = read_header(tmp_path / "s")
    check_same_plan(tmp_path / "s", present, header_of(plan, "float16"))
    other = plan_embedding(SEQUENCES[1:], 32, 16)
    with pytest.raises(InputError) as caught:
        check_same_plan(tmp_path / "s", present, header_of(other, "float32"))
    assert caught.value.exit_code == 2
    for word in ("logical_dtype: 'float16' there, 'float32' now", "num_sequences: 13 there, 12 now", "chunk_rows: 8"):
        assert word in str(caught.value)
    assert "complete" not in str(caught.value)


def test_a_store_is_created_whole_or_not_at_all(tmp_path: Path) -> None:
    plan = plan_embedding(SEQUENCES, 32, 8)
    header = header_of(plan, "float32")
    create_part(tmp_path / "s", plan, header, names_of(plan))
    assert {f.name for f in tmp_path.iterdir()} == {"s"}
    fill_store(tmp_path / "s", plan, [0])
    create_part(tmp_path / "s", plan, header, names_of(plan))  # by another task of an array, at the same time
    assert committed(tmp_path / "s", plan) == {0}
    assert {f.name for f in tmp_path.iterdir()} == {"s"}


def test_a_sequence_that_is_not_there(tmp_path: Path) -> None:
    finished_store(tmp_path / "s", SEQUENCES)
    with pytest.raises(InputError, match=r"WWWWWWWWWWWWWWWWWWWW\.\.\. \(40 residues\) is not in the store"):
        StoreReader(tmp_path / "s").index("W" * 40)


# ---- damage


def read_shard(reader: StoreReader, sequences: range) -> None:
    for index in sequences:
        read_rows(reader, index)


def read_everything(path: Path) -> None:
    reader = StoreReader(path)
    read_shard(reader, range(len(reader.lengths)))


def test_a_missing_shard_is_nan_for_zarr_and_an_error_for_us(tmp_path: Path) -> None:
    plan = finished_store(tmp_path / "s", SEQUENCES)
    shard_path(tmp_path / "s", 1).unlink()
    values = np.asarray(as_zarr(tmp_path / "s", "residues")[...])
    assert np.isnan(values[32:64]).all()
    reader = StoreReader(tmp_path / "s")
    for index in range(len(SEQUENCES)):
        if index in plan.shard_sequences(1):
            with pytest.raises(
                CorruptError, match=r"c\.1\.0: shard 1 \(rows 32 to 63\) is damaged or missing"
            ) as caught:
                read_rows(reader, index)
            assert caught.value.exit_code == 3
        else:
            read_rows(reader, index)


def test_every_flipped_bit_of_a_shard_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "s"
    plan = open_store(path, SEQUENCES, "float16")
    fill_store(path, plan)
    shutil.copytree(path, tmp_path / "open")
    finalize_part(path, plan)
    generator = random.Random(0)
    chunk_bytes, stride = 8 * WIDTH * 2, 192
    for _ in range(200):
        shard = generator.randrange(plan.num_shards)
        file, still_open = shard_path(path, shard), shard_path(tmp_path / "open", shard)
        good = file.read_bytes()
        index_start = len(good) - (16 * 4 + 4)
        place = generator.choice(["data", "crc", "index"])
        start = generator.randrange(index_start // stride) * stride
        low, high = {
            "data": (start, start + chunk_bytes),
            "crc": (start + chunk_bytes, start + chunk_bytes + 4),
            "index": (index_start, len(good)),
        }[place]
        bit = generator.randrange(low * 8, high * 8)
        flip_bit(file, bit)
        flip_bit(still_open, bit)
        reader = StoreReader(path)
        with pytest.raises(CorruptError, match=f"shard {shard} ") as caught:
            read_shard(reader, plan.shard_sequences(shard))
        assert caught.value.exit_code == 3
        assert committed(tmp_path / "open", plan) == set(range(plan.num_shards)) - {shard}
        file.write_bytes(good)
        still_open.write_bytes(good)
    read_everything(path)


def test_a_gap_between_chunks_holds_zeros(tmp_path: Path) -> None:
    """No reader looks there, but what is committed has one content and no other."""
    path = tmp_path / "s"
    plan = open_store(path, SEQUENCES, "float16")
    fill_store(path, plan)
    flip_bit(shard_path(path, 2), 8 * (8 * WIDTH * 2 + 4) + 3)
    assert committed(path, plan) == set(range(plan.num_shards)) - {2}


def test_only_the_chunks_that_are_touched_are_checked(tmp_path: Path) -> None:
    plan = finished_store(tmp_path / "s", SEQUENCES)
    shard = int(plan.offsets[-1] // 32)
    flip_bit(shard_path(tmp_path / "s", shard), 8 * 10)  # in the first chunk of eight rows
    reader = StoreReader(tmp_path / "s")
    rows = rows_of(plan.sequences[-1])
    assert len(rows) == 32
    assert torch.equal(read_rows(reader, len(SEQUENCES) - 1, 8), torch.from_numpy(rows[8:]))
    with pytest.raises(CorruptError, match="chunk 0 has crc32c"):
        read_rows(reader, len(SEQUENCES) - 1, 7)


@pytest.mark.parametrize("change", ["empty", "index", "data", "byte", "longer", "chunk more", "all chunks", "other"])
def test_a_shard_of_another_size(tmp_path: Path, change: str) -> None:
    path = tmp_path / "s"
    plan = open_store(path, SEQUENCES)
    fill_store(path, plan)
    file = shard_path(path, 1)
    good, chunk = file.read_bytes(), 320
    index = len(good) - (16 * 4 + 4)
    new = {
        "empty": b"",
        "index": good[:index],
        "data": good[:chunk] + good[index:],
        "byte": good[:-1],
        "longer": good + b"\0",
        "chunk more": good + bytes(chunk),
        "all chunks": good + bytes(8 * chunk),
        "other": good[:chunk] + shard_index(4, 1, 8 * WIDTH * 4),  # consistent in itself, but rows are missing
    }[change]
    file.write_bytes(new)
    assert committed(path, plan) == set(range(plan.num_shards)) - {1}
    file.write_bytes(good)
    finalize_part(path, plan)
    file.write_bytes(new)
    with pytest.raises(CorruptError, match=r"c\.1\.0: shard 1 "):
        read_everything(path)


@pytest.mark.parametrize("name", ["offsets", "lengths", "digests", "commits"])
def test_a_damaged_or_missing_table(tmp_path: Path, name: str) -> None:
    path = tmp_path / "s"
    finished_store(path, SEQUENCES)
    (chunk,) = [f for f in (path / name / "c").rglob("*") if f.is_file()]
    flip_bit(chunk, 3)
    with pytest.raises(CorruptError, match=f"{name}: cannot be read"):
        StoreReader(path)
    chunk.unlink()
    with pytest.raises(CorruptError, match=f"{name}: cannot be read .*No such file"):  # zarr would read zeros
        StoreReader(path)
    shutil.rmtree(path / name)
    with pytest.raises(CorruptError, match=f"{name}: cannot be read"):
        StoreReader(path)


# ---- resume


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
