"""What is computed where: pure arithmetic on lengths and digests, independent of the number of ranks.

Any number of ranks, in any order, with any interruption, therefore fills the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snw_dist.embedding.store.shard_file import crc32c


def sequence_digest(sequence: str) -> bytes:
    """SHA-256 of a cleaned sequence: its name in the store, whatever ids the user gave it."""
    return hashlib.sha256(sequence.encode("ascii")).digest()


@dataclass(frozen=True)
class EmbeddingPlan:
    """Distinct sequences in store order and the Zarr shards they are packed into."""

    sequences: tuple[str, ...]
    lengths: NDArray[np.int64]
    """[n] residues of each sequence, ascending."""
    offsets: NDArray[np.int64]
    """[n] first row of each sequence in `residues`."""
    shard_starts: NDArray[np.int64]
    """[num_shards + 1] first sequence of each shard."""
    shard_rows: int
    """Rows of one shard, a multiple of `chunk_rows`; at least the longest sequence."""
    chunk_rows: int

    @property
    def num_shards(self) -> int:
        """Number of Zarr shards."""
        return len(self.shard_starts) - 1

    @property
    def num_residues(self) -> int:
        """Rows that hold data; the rest of `num_shards * shard_rows` is padding at the ends of shards."""
        return int(self.lengths.sum())

    def shard_sequences(self, shard: int) -> range:
        """Indices of the sequences in a shard."""
        return range(int(self.shard_starts[shard]), int(self.shard_starts[shard + 1]))

    def lengths_of(self, shard: int) -> NDArray[np.int64]:
        """[sequences of the shard]: residues of each."""
        sequences = self.shard_sequences(shard)
        return self.lengths[sequences.start : sequences.stop]

    def shard_digest(self, shard: int) -> str:
        """SHA-256 over the sequences of a shard joined by newlines; says what the shard must contain."""
        return hashlib.sha256(self._text(shard)).hexdigest()

    def sequences_crc(self, shard: int) -> int:
        """crc32c of the same text, for the store's table of commits."""
        return crc32c(self._text(shard))

    def _text(self, shard: int) -> bytes:
        return "\n".join(self.sequences[i] for i in self.shard_sequences(shard)).encode("ascii")

    def digest(self, settings: Mapping[str, Any]) -> str:
        """SHA-256 over the plan and the settings (encoder, weights, layer, dtype) that the rows depend on."""
        header = {**settings, "shard_rows": self.shard_rows, "chunk_rows": self.chunk_rows}
        state = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
        for sequence in self.sequences:
            state.update(b"\n" + sequence.encode("ascii"))
        return state.hexdigest()


def plan_embedding(sequences: Iterable[str], shard_rows: int, chunk_rows: int) -> EmbeddingPlan:
    """Sort the distinct sequences by length (then alphabetically) and pack them into shards, next-fit.

    No sequence crosses a shard. `shard_rows` is rounded up to whole chunks and to the longest sequence. Raises
    `ValueError` when there is no sequence or an empty one.
    """
    distinct = tuple(sorted(set(sequences), key=lambda s: (len(s), s)))
    if not distinct or not distinct[0]:
        raise ValueError("nothing to embed: no sequence, or an empty one")
    lengths = np.fromiter(map(len, distinct), dtype=np.int64, count=len(distinct))
    rows = -(-max(shard_rows, int(lengths[-1])) // chunk_rows) * chunk_rows
    offsets, starts = pack(lengths, rows)
    return EmbeddingPlan(distinct, lengths, offsets, starts, rows, chunk_rows)


def pack(lengths: NDArray[np.int64], rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First rows [n] of sequences of these lengths, none across a shard, and the first sequence of each shard and n."""
    starts, offsets, used = [0], np.empty_like(lengths), 0
    for index, length in enumerate(lengths.tolist()):
        if used + length > rows:
            starts.append(index)
            used = 0
        offsets[index] = (len(starts) - 1) * rows + used
        used += length
    return offsets, np.asarray([*starts, len(lengths)], dtype=np.int64)
