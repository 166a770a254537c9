"""How large shards and their inner chunks are: arithmetic alone, for who reads no shard; see `shard_file`."""

from __future__ import annotations

from dataclasses import dataclass

CRC_BYTES = 4
ALIGNMENT = 64


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

    @staticmethod
    def of(shard_rows: int, chunk_rows: int, row_bytes: int) -> ShardLayout:
        """Of shards of so many rows in such chunks; see also `StoreHeader.layout`."""
        return ShardLayout(shard_rows // chunk_rows, chunk_rows * row_bytes)

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
