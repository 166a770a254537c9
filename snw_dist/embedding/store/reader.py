"""Serve rows of a complete store from its shard files, copying no more than what is asked for.

What is given has passed its crc32c, see `open_shard`. A shard that is missing, damaged or cut, also while it is in use,
is an error that names the shard and the rows, never fill values.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hpc.errors import CorruptError, InputError
from snw_dist.arrays import IntArray
from snw_dist.embedding.store.commits import shard_path
from snw_dist.embedding.store.dtypes import as_bytes, as_stored, torch_dtype
from snw_dist.embedding.store.header import REPAIR, read_header
from snw_dist.embedding.store.open_shard import OpenShard, most_kept_open
from snw_dist.embedding.store.part_names import part_paths
from snw_dist.embedding.store.plan import sequence_digest
from snw_dist.embedding.store.tables import read_table_rows, read_tables


class StoreReader:
    """Random access to the embeddings of whole sequences, numbered through all parts of a store.

    Raises `InputError` where embedding has not finished.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        parts: list[_PartReader] = []
        for part in part_paths(path):
            before = sum(one.header.num_shards for one in parts)
            parts.append(_PartReader(part, most_kept_open() // 2 - before))  # half: there may be another reader
        if not parts[0].header.complete:
            raise InputError(f"{path}: embedding has not finished. Start it again: snw-dist embed")
        # What is being appended at the moment is not there yet; everything before it stays as it is.
        self._parts = [part for part in parts if part.header.complete]
        self._firsts = [part.header.first_sequence for part in self._parts]
        self.header = parts[0].header
        self.lengths: IntArray = np.concatenate([part.lengths for part in self._parts])
        """[sequences] residues of each."""
        digests = (digest for part in self._parts for digest in part.digests)
        self._index_of = {digest.tobytes(): index for index, digest in enumerate(digests)}

    @property
    def dtype(self) -> torch.dtype:
        """Type of the rows."""
        return torch_dtype(self.header.logical_dtype)

    @property
    def row_width(self) -> int:
        """Values in a row."""
        return self.header.row_width

    def index(self, sequence: str) -> int:
        """Number of a sequence in the store; raises `InputError` when it was not embedded."""
        found = self._index_of.get(sequence_digest(sequence))
        if found is None:
            raise InputError(
                f"{self.path}: the sequence {sequence[:20]}... ({len(sequence)} residues) is not in the store. "
                "Add what is missing: snw-dist embed --append."
            )
        return found

    def indices(self, sequences: Iterable[str]) -> IntArray:
        """[num_sequences]: `index` of each."""
        return np.fromiter(map(self.index, sequences), dtype=np.int64)

    def pooled(self, indices: IntArray) -> NDArray[np.float32]:
        """[n, row_width]: of each sequence the mean of its rows, as embedding has kept it; indices: [n]."""
        found = np.empty((len(indices), self.row_width), dtype=np.float32)
        parts = np.searchsorted(self._firsts, indices, side="right") - 1
        for number in np.unique(parts):
            own = parts == number
            found[own] = read_table_rows(self._parts[number].path, "pooled", indices[own] - self._firsts[number])
        return found

    def __contains__(self, sequence: str) -> bool:
        return sequence_digest(sequence) in self._index_of

    def read_batch(
        self, out: torch.Tensor, indices: Sequence[int], starts: Sequence[int], counts: Sequence[int]
    ) -> None:
        """See `RowReader`; the rows go from the files straight into `out` [sequences, longest, row_width]."""
        target = as_bytes(as_stored(out))
        at = np.arange(len(indices)) * (out.stride(0) * out.itemsize)
        index, start, count = (np.asarray(values, dtype=np.int64) for values in (indices, starts, counts))
        if len(self._parts) == 1:
            self._parts[0].copy(target, at, index, start, count)
            return
        parts = np.searchsorted(self._firsts, index, side="right") - 1
        for number in np.unique(parts):
            own = parts == number
            local = index[own] - self._firsts[number]
            self._parts[number].copy(target, at[own], local, start[own], count[own])


class _PartReader:
    """One part; its shards are opened when they are first needed."""

    def __init__(self, path: Path, most_kept_open: int) -> None:
        self.path = path
        self._most_kept_open = most_kept_open
        self.header = read_header(path)
        self._shards: dict[int, OpenShard] = {}
        if not self.header.complete:
            return
        tables = read_tables(path, self.header)
        self.lengths, self.digests, self._offsets = tables["lengths"], tables["digests"], tables["offsets"]
        self._row_bytes, self._layout = self.header.row_bytes, self.header.layout

    def copy(self, target: NDArray[np.uint8], at: IntArray, index: IntArray, start: IntArray, count: IntArray) -> None:
        """Copy `count` rows from row `start` of the sequences `index` to the bytes `at` of `target`."""
        shards, rows = np.divmod(self._offsets[index] + start, self.header.shard_rows)
        begins, sizes = rows * self._row_bytes, count * self._row_bytes
        shard = -1
        try:
            for shard, *where in zip(shards.tolist(), at.tolist(), begins.tolist(), sizes.tolist(), strict=True):
                (self._shards.get(shard) or self._open(shard)).copy(target, *where)
        except (OSError, ValueError) as error:
            raise CorruptError(self._damage(shard, error)) from None

    def _open(self, shard: int) -> OpenShard:
        self._shards[shard] = OpenShard(shard_path(self.path, shard), self._layout, shard < self._most_kept_open)
        return self._shards[shard]

    def _damage(self, shard: int, what: Exception) -> str:
        rows = f"rows {shard * self.header.shard_rows} to {(shard + 1) * self.header.shard_rows - 1}"
        return f"{shard_path(self.path, shard)}: shard {shard} ({rows}) is damaged or missing: {what}. {REPAIR}"
