"""The bytes of one Zarr v3 shard of `residues`, written and checked without going through zarr.

Layout, by the sharding-indexed codec of the Zarr v3 specification with inner codecs [bytes little-endian, crc32c]:
the inner chunks one after another, each `chunk_rows * d_model` values and a crc32c of 4 bytes, with zeros up to
the next multiple of 64 bytes; then the index, an (offset, size) pair of uint64 for each chunk of a whole shard, both
2**64 - 1 for chunks that hold padding only; then the crc32c of the index. Copying from memory that is aligned like its
target is faster, and the specification leaves it to the writer where in a shard a chunk lies.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from crc32c import crc32c as crc32c_of
from numpy.typing import NDArray

from hpc.files import atomic_write_groups

MISSING = 2**64 - 1
CRC_BYTES = 4
ALIGNMENT = 64
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


def chunk_stride(chunk_bytes: int) -> int:
    """Bytes from one inner chunk to the next."""
    return -(-(chunk_bytes + CRC_BYTES) // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True)
class ShardLayout:
    """Sizes of every shard of an array."""

    num_chunks: int
    """Inner chunks of a whole shard."""
    chunk_bytes: int
    """Of the values of an inner chunk, without its crc32c."""

    @property
    def stride(self) -> int:
        """Bytes from one inner chunk to the next."""
        return chunk_stride(self.chunk_bytes)

    @property
    def gap(self) -> int:
        """Bytes between the values of one inner chunk and of the next: the crc32c and zeros."""
        return self.stride - self.chunk_bytes

    def num_present(self, file_bytes: int) -> int:
        """Stored chunks of a file of this size; raises `ValueError` when no shard has this size."""
        index_bytes = 16 * self.num_chunks + CRC_BYTES
        count, rest = divmod(file_bytes - index_bytes, self.stride)
        if rest or not 0 <= count <= self.num_chunks:
            raise ValueError(f"{file_bytes} bytes are not a whole shard")
        return count


def write_shard(path: Path, rows: NDArray[Any], layout: ShardLayout) -> int:
    """Write a shard durably and atomically; returns its digest.

    `rows` are little-endian and contiguous, padded to whole chunks. They go to the file from where they lie, only the
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


class MappedShard:
    """A shard file in memory, its chunks checked at first touch; raises `ValueError` where the bytes are damaged."""

    def __init__(self, path: Path, layout: ShardLayout) -> None:
        """Map the file and check its size and its index."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            size = os.fstat(descriptor).st_size
            self.num_present = layout.num_present(size)
            self._data = memoryview(mmap.mmap(descriptor, size, access=mmap.ACCESS_READ))
        finally:
            os.close(descriptor)
        end = self.num_present * layout.stride
        if self._data[end:] != shard_index(layout.num_chunks, self.num_present, layout.chunk_bytes):
            raise ValueError("the index is damaged")
        self._bytes = np.frombuffer(self._data, dtype=np.uint8)
        self._chunk_bytes, self._stride, self._gap = layout.chunk_bytes, layout.stride, layout.gap
        self._unchecked = bytearray(b"\1") * self.num_present

    def copy(self, target: NDArray[np.uint8], at: int, start: int, count: int) -> None:
        """Copy `count` bytes of values from byte `start` of the shard's values to byte `at` of `target`.

        By numpy, which lets go of Python's lock while it copies: a memoryview does not, and a thread that reads ahead
        would hold up the one that trains.
        """
        chunk_bytes, data = self._chunk_bytes, self._bytes
        chunk = start // chunk_bytes
        stop = (start + count - 1) // chunk_bytes + 1
        if self._unchecked.find(1, chunk, stop) >= 0 or stop > self.num_present:
            self._check(chunk, stop)
        position = start + chunk * self._gap
        room = (chunk + 1) * chunk_bytes - start
        while count > room:
            end = at + room
            target[at:end] = data[position : position + room]
            at = end
            count -= room
            position += room + self._gap
            room = chunk_bytes
        target[at : at + count] = data[position : position + count]

    def _check(self, first: int, stop: int) -> None:
        """Compare chunks with their crc32c, each once; `ValueError` also where there is none of that number."""
        if stop > self.num_present:
            raise ValueError(f"it has {self.num_present} chunks, chunk {stop - 1} is needed")
        size, stride, data, unchecked = self._chunk_bytes, self._stride, self._data, self._unchecked
        for chunk in range(first, stop):
            if unchecked[chunk]:
                start = chunk * stride
                end = start + size
                actual, stored = crc32c_of(data[start:end]), int.from_bytes(data[end : end + CRC_BYTES], "little")
                if actual != stored:
                    raise ValueError(f"chunk {chunk} has crc32c {actual}, expected {stored}")
                unchecked[chunk] = 0

    def digest(self) -> int:
        """`shard_digest` of this file, with every chunk and the zeros between them checked."""
        self._check(0, self.num_present)
        zeros, crcs = bytes(self._gap - CRC_BYTES), []
        for chunk in range(self.num_present):
            end = chunk * self._stride + self._chunk_bytes
            crcs.append(int.from_bytes(self._data[end : end + CRC_BYTES], "little"))
            if self._data[end + CRC_BYTES : end + self._gap] != zeros:
                raise ValueError(f"after chunk {chunk} there is something in a gap")
        return shard_digest(crcs)
