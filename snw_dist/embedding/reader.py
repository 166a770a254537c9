"""Serve rows of a complete store from mapped shard files, copying no more than what is asked for.

The crc32c of an inner chunk is checked once, at its first touch in this process. A missing or damaged shard is an
error that names the shard and the rows, never fill values.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hpc.errors import CorruptError, InputError
from snw_dist.embedding.plan import sequence_digest
from snw_dist.embedding.shard_file import CRC_BYTES, crc32c, shard_index
from snw_dist.embedding.store import read_header, read_tables, shard_path

_TORCH_DTYPE = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class StoreReader:
    """Random access to the embeddings of whole sequences."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.header = read_header(path)
        if not self.header.complete:
            raise InputError(f"{path}: embedding has not finished. Start it again: python launch/embed.py")
        tables = read_tables(path)
        self.lengths: NDArray[np.int64] = tables["lengths"]
        self._offsets = tables["offsets"]
        self._index_of = {digest.tobytes(): index for index, digest in enumerate(tables["digests"])}
        self._stored_dtype = np.dtype(
            {"float32": "<f4", "float16": "<f2", "bfloat16": "<u2"}[self.header.logical_dtype]
        )
        self._chunk = np.dtype(
            [("rows", self._stored_dtype, (self.header.chunk_rows, self.header.d_model)), ("crc", "<u4")]
        )
        self._shards: dict[int, NDArray[Any]] = {}
        self._checked: dict[int, NDArray[np.bool_]] = {}

    @property
    def dtype(self) -> torch.dtype:
        """Logical type of the rows."""
        return _TORCH_DTYPE[self.header.logical_dtype]

    def index(self, sequence: str) -> int:
        """Number of a sequence in the store; raises `InputError` when it was not embedded."""
        found = self._index_of.get(sequence_digest(sequence))
        if found is None:
            raise InputError(
                f"{self.path}: the sequence {sequence[:20]}... ({len(sequence)} residues) is not in the store. "
                "Embed the present input: python launch/embed.py"
            )
        return found

    def indices(self, sequences: Iterable[str]) -> NDArray[np.int64]:
        """`index` of each sequence."""
        return np.fromiter(map(self.index, sequences), dtype=np.int64)

    def read(self, index: int, start: int = 0, stop: int | None = None) -> torch.Tensor:
        """Rows [start, stop) of a sequence: [residues, d_model] in the store's dtype, a fresh tensor."""
        length = int(self.lengths[index])
        stop = length if stop is None else min(stop, length)
        out = torch.empty(stop - start, self.header.d_model, dtype=self.dtype)
        self.read_into(out, index, start)
        return out

    def read_into(self, out: torch.Tensor, index: int, start: int = 0) -> None:
        """Fill `out` [residues, d_model], contiguous and of the store's dtype, from row `start` of a sequence on."""
        target = (out.view(torch.uint16) if out.dtype == torch.bfloat16 else out).numpy()
        first = int(self._offsets[index]) + start
        shard, row = divmod(first, self.header.shard_rows)
        chunks = self._shard(shard)
        done = 0
        while done < len(target):
            chunk, inside = divmod(row + done, self.header.chunk_rows)
            if chunk >= len(chunks):
                raise CorruptError(self._damage(shard, f"it has {len(chunks)} chunks, chunk {chunk} is needed"))
            if not self._checked[shard][chunk]:
                self._check(shard, chunk)
            count = min(self.header.chunk_rows - inside, len(target) - done)
            target[done : done + count] = chunks["rows"][chunk, inside : inside + count]
            done += count

    def _shard(self, shard: int) -> NDArray[Any]:
        if shard not in self._shards:
            self._shards[shard] = self._map(shard)
            self._checked[shard] = np.zeros(len(self._shards[shard]), dtype=bool)
        return self._shards[shard]

    def _map(self, shard: int) -> NDArray[Any]:
        file = shard_path(self.path, shard)
        num_chunks = self.header.shard_rows // self.header.chunk_rows
        index_bytes = 16 * num_chunks + CRC_BYTES
        try:
            data = np.memmap(file, dtype=np.uint8, mode="r")
        except (OSError, ValueError) as error:
            raise CorruptError(self._damage(shard, str(error))) from None
        num_present = (len(data) - index_bytes) // self._chunk.itemsize
        whole = 0 <= num_present <= num_chunks and num_present * self._chunk.itemsize + index_bytes == len(data)
        expected = shard_index(num_chunks, num_present, self._chunk.itemsize - CRC_BYTES) if whole else b""
        if not whole or data[-index_bytes:].tobytes() != expected:
            raise CorruptError(self._damage(shard, f"{len(data)} bytes with an index that does not fit them"))
        return data[:-index_bytes].view(self._chunk)

    def _check(self, shard: int, chunk: int) -> None:
        stored = self._shards[shard][chunk]
        actual = crc32c(np.ascontiguousarray(stored["rows"]).view(np.uint8))
        if actual != stored["crc"]:
            raise CorruptError(self._damage(shard, f"chunk {chunk} has crc32c {actual}, expected {stored['crc']}"))
        self._checked[shard][chunk] = True

    def _damage(self, shard: int, what: str) -> str:
        rows = f"rows {shard * self.header.shard_rows} to {(shard + 1) * self.header.shard_rows - 1}"
        return (
            f"{shard_path(self.path, shard)}: shard {shard} ({rows}) is damaged or missing: {what}. "
            "Remove the store and embed again."
        )
