"""The finished store against plain zarr-python; what the reader refuses, and what damage it sees."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from hpc.errors import CorruptError, InputError
from snw_dist.embedding.row_reader import read_rows
from snw_dist.embedding.store.commits import shard_path
from snw_dist.embedding.store.dtypes import as_logical
from snw_dist.embedding.store.group import finalize_part
from snw_dist.embedding.store.header import read_header
from snw_dist.embedding.store.reader import StoreReader
from snw_dist.embedding.store.shard_file import shard_index
from tests.kit.embedding_tools import (
    DTYPES,
    SEQUENCES,
    WIDTH,
    as_zarr,
    committed,
    fill_store,
    finished_store,
    flip_bit,
    open_store,
    rows_of,
    tensor_of,
)


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


def test_no_store_and_no_zarr(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no embedding store.*snw-dist embed"):
        StoreReader(tmp_path / "s")
    (tmp_path / "s").mkdir()
    version = '"format_version": 2'
    for content in ("", "[]", "{}", f'{{"attributes": {{"shape": 1e12, {version}}}}}', '{"attributes": 3}'):
        (tmp_path / "s" / "zarr.json").write_text(content)
        with pytest.raises(CorruptError, match="not the header of an embedding store"):
            StoreReader(tmp_path / "s")


def test_an_incomplete_store_is_not_read(tmp_path: Path) -> None:
    plan = open_store(tmp_path / "s", SEQUENCES)
    fill_store(tmp_path / "s", plan)
    with pytest.raises(InputError, match="embedding has not finished") as caught:
        StoreReader(tmp_path / "s")
    assert caught.value.exit_code == 2


def test_a_sequence_that_is_not_there(tmp_path: Path) -> None:
    finished_store(tmp_path / "s", SEQUENCES)
    with pytest.raises(InputError, match=r"WWWWWWWWWWWWWWWWWWWW\.\.\. \(40 residues\) is not in the store"):
        StoreReader(tmp_path / "s").index("W" * 40)


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
