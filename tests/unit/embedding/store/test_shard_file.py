"""The bytes of one shard, by hand and by zarr-python."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import zarr

from snw_dist.embedding.store.layout import ShardLayout
from snw_dist.embedding.store.open_shard import OpenShard
from snw_dist.embedding.store.shard_file import crc32c, shard_digest, shard_index, write_shard
from tests.kit.embedding_tools import as_zarr


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
