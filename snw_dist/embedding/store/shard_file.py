"""The bytes of one Zarr v3 shard of `residues`, written and checked without going through zarr.

Layout, by the sharding-indexed codec of the Zarr v3 specification with inner codecs [bytes little-endian, crc32c]:
the inner chunks one after another, each `chunk_rows * row_width` values and a crc32c of 4 bytes, with zeros up to
the next multiple of 64 bytes; then the index, an (offset, size) pair of uint64 for each chunk of a whole shard, both
2**64 - 1 for chunks that hold padding only; then the crc32c of the index. Copying from memory that is aligned like its
target is faster, and the specification leaves it to the writer where in a shard a chunk lies.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from crc32c import crc32c as crc32c_of
from numpy.typing import NDArray

from hpc.disk.files import atomic_write_groups
from snw_dist.embedding.store.layout import CRC_BYTES, ShardLayout, chunk_stride

MISSING = 2**64 - 1
_CHUNKS_PER_WRITE = 32


def crc32c(data: bytes | memoryview) -> int:
    """CRC-32C (Castagnoli) of a contiguous buffer."""
    return crc32c_of(data)


def shard_digest(chunk_crcs: Sequence[int]) -> int:
    """What identifies the content of a shard: crc32c over the crc32c of its chunks.

    Not the crc32c of the file: a CRC over data followed by its own CRC is a constant, so it is the same number for
    every whole shard of a store, and one shard put in the place of another would pass.
    """
    return crc32c(np.asarray(chunk_crcs, dtype="<u4").tobytes())


def shard_index(num_chunks: int, num_present: int, chunk_bytes: int) -> bytes:
    """The index of a shard whose first `num_present` chunks are stored, with its crc32c."""
    index = np.full((num_chunks, 2), MISSING, dtype="<u8")
    index[:num_present, 0] = np.arange(num_present, dtype="<u8") * chunk_stride(chunk_bytes)
    index[:num_present, 1] = chunk_bytes + CRC_BYTES
    data = index.tobytes()
    return data + struct.pack("<I", crc32c(data))


def write_shard(path: Path, rows: NDArray[Any], layout: ShardLayout) -> int:
    """Write a shard durably and atomically; returns its digest.

    `rows` [rows, row_width] are little-endian and contiguous, padded to whole chunks.
    They go to the file from where they lie, only the
    checksums and the index are added.
    """
    data = rows.view(np.uint8).reshape(-1)
    num_present, rest = divmod(len(data), layout.chunk_bytes)
    assert not rest
    assert num_present <= layout.num_chunks
    chunks = [data[i * layout.chunk_bytes : (i + 1) * layout.chunk_bytes] for i in range(num_present)]
    crcs: list[int] = []

    def groups() -> Iterator[list[bytes | memoryview]]:
        for start in range(0, num_present, _CHUNKS_PER_WRITE):
            buffers: list[bytes | memoryview] = []
            for chunk in chunks[start : start + _CHUNKS_PER_WRITE]:
                crcs.append(crc32c(chunk.data))
                buffers += [chunk.data, struct.pack("<I", crcs[-1]).ljust(layout.gap, b"\0")]
            yield buffers
        yield [shard_index(layout.num_chunks, num_present, layout.chunk_bytes)]

    atomic_write_groups(path, groups())
    return shard_digest(crcs)
