"""The bytes of one Zarr v3 shard of `residues`, written and checked without going through zarr.

Layout, by the sharding-indexed codec of the Zarr v3 specification with inner codecs [bytes little-endian, crc32c]:
the inner chunks one after another, each `chunk_rows * d_model` values and a crc32c of 4 bytes; then the index, an
(offset, size) pair of uint64 for each chunk of a whole shard, both 2**64 - 1 for chunks that hold padding only; then
the crc32c of the index.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

MISSING = 2**64 - 1
CRC_BYTES = 4


def crc32c(data: Any) -> int:
    """CRC-32C (Castagnoli) of a contiguous buffer."""
    return int(google_crc32c.value(data))


def shard_index(num_chunks: int, num_present: int, chunk_bytes: int) -> bytes:
    """The index of a shard whose first `num_present` chunks are stored, with its crc32c."""
    index = np.full((num_chunks, 2), MISSING, dtype="<u8")
    index[:num_present, 0] = np.arange(num_present) * (chunk_bytes + CRC_BYTES)
    index[:num_present, 1] = chunk_bytes + CRC_BYTES
    data = index.tobytes()
    return data + struct.pack("<I", crc32c(data))


def encode_shard(rows: NDArray[Any], num_chunks: int, chunk_rows: int) -> Iterator[bytes | memoryview]:
    """Yield the pieces of a shard file.

    `rows`: [num_present * chunk_rows, d_model], little-endian, C-contiguous, padded with the fill value to whole
    chunks. Chunks beyond them are marked missing.
    """
    num_present, remainder = divmod(len(rows), chunk_rows)
    assert not remainder
    assert num_present <= num_chunks
    assert rows.flags.c_contiguous
    chunk_bytes = chunk_rows * rows.shape[1] * rows.itemsize
    for chunk in range(num_present):
        data = rows[chunk * chunk_rows : (chunk + 1) * chunk_rows].view(np.uint8).reshape(-1)
        yield data.data
        yield struct.pack("<I", crc32c(data))
    yield shard_index(num_chunks, num_present, chunk_bytes)
