"""Committing shards while a part of the store is filled: a shard exists once its record does.

STORE/.parts holds one record a shard: what it must contain, what its file holds, and its pooled rows. Records name
nothing about ranks or time, so that equal input gives equal bytes whatever happened on the way.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from hpc.disk.files import atomic_write_bytes, fsync_folder
from hpc.disk.reading import parse_json, read_small
from hpc.errors import CorruptError, InputError
from hpc.machine.memory import available_bytes
from hpc.save.claims import look_again
from snw_dist.embedding.store.dtypes import as_bytes, as_logical, as_stored, stored_dtype
from snw_dist.embedding.store.layout import ShardLayout
from snw_dist.embedding.store.open_shard import OpenShard
from snw_dist.embedding.store.part_names import RECORDS
from snw_dist.embedding.store.plan import EmbeddingPlan
from snw_dist.embedding.store.shard_file import crc32c, write_shard

_POOLED_ROWS = 64
_AT_ONCE = 1024  # rows
_MOST_RECORD_BYTES = 1 << 32


@dataclass(frozen=True)
class ShardRecord:
    """What is known of a committed shard."""

    digest: int
    """See `shard_file.shard_digest`."""
    pooled: NDArray[np.float32]
    """[sequences of the shard, row_width] mean over the stored rows of each sequence."""


def shard_path(part: Path, shard: int) -> Path:
    """File of a shard; the key is the one zarr uses."""
    return part / "residues" / f"c.{shard}.0"


def shard_buffer(plan: EmbeddingPlan, row_width: int, dtype: torch.dtype, pinned: bool = False) -> torch.Tensor:
    """Memory for the rows of any shard of a plan: [shard_rows, row_width]; `InputError` where there is not so much.

    A GPU fills `pinned` memory by itself. torch takes the next power of two for it.
    """
    size, free = plan.shard_rows * row_width * dtype.itemsize, available_bytes(torch.device("cpu"))
    if pinned:
        size = 1 << (size - 1).bit_length()
    if size > free:
        raise InputError(
            f"a shard of {plan.shard_rows:,} rows needs {size / 1e9:,.1f} GB of memory, and {free / 1e9:,.1f} GB are "
            "free. Choose a smaller store.shard_rows, or fewer ranks on a node."
        )
    return torch.empty(plan.shard_rows, row_width, dtype=dtype, pin_memory=pinned)


def commit_shard(
    part: Path,
    plan: EmbeddingPlan,
    shard: int,
    buffer: torch.Tensor,
    work: Path | None = None,
    check: Callable[[], None] = lambda: None,
) -> int:
    """Write one shard durably, then its record; returns the bytes of the shard.

    It is written below `work`, the caller's own folder in the part, and moved into place once `check()` has not raised.

    `buffer` [shard_rows, row_width] holds the rows of the shard's sequences at its beginning; what follows is
    overwritten by padding. Raises `CorruptError` naming the sequence when a value is not finite in its type.
    """
    logical = str(buffer.dtype).removeprefix("torch.")
    lengths = plan.lengths_of(shard)
    num_rows = int(lengths.sum())
    padded = -(-num_rows // plan.chunk_rows) * plan.chunk_rows
    buffer[num_rows:padded] = torch.nan
    layout = ShardLayout.of(plan.shard_rows, plan.chunk_rows, buffer.shape[1] * buffer.itemsize)
    final = shard_path(part, shard)
    made = (part / RECORDS if work is None else work) / f"{final.name}.{secrets.token_hex(4)}"
    try:
        with ThreadPoolExecutor(1, "pooled-rows") as thread:
            pooling = thread.submit(pool, buffer[:num_rows], lengths)
            digest = write_shard(made, as_stored(buffer[:padded]), layout)
            pooled = pooling.result()
        if not np.isfinite(pooled).all():  # a mean is finite only if all its rows are
            raise _not_finite(plan, shard, buffer[:num_rows], logical)
        check()
        made.replace(final)
    finally:
        made.unlink(missing_ok=True)
    fsync_folder(final.parent)
    metadata = {
        "sequences": plan.shard_digest(shard),
        "digest": digest,
        "pooled_crc32c": crc32c(pooled.tobytes()),
    }
    data = save_safetensors({"pooled": pooled}, {"record": json.dumps(metadata, sort_keys=True)})
    atomic_write_bytes(_record_path(part, shard), data)
    return padded // plan.chunk_rows * layout.stride


def read_record(part: Path, plan: EmbeddingPlan, shard: int) -> ShardRecord | None:
    """The record of a shard of this plan; None when there is none, or it is damaged."""
    try:
        path = _record_path(part, shard)
        data = read_small(path, _MOST_RECORD_BYTES)
        header = parse_json(data[8 : 8 + int.from_bytes(data[:8], "little")], str(path))
        record = parse_json(str(header["__metadata__"]["record"]), str(path))
        pooled = load_safetensors(data)["pooled"]
        found = record["sequences"], record["pooled_crc32c"]
        digest = int(np.uint32(record["digest"]))
    except (OSError, ValueError, KeyError, TypeError, OverflowError, SafetensorError):  # damage anywhere in the record
        return None
    if pooled.dtype != np.float32 or pooled.ndim != 2 or len(pooled) != len(plan.shard_sequences(shard)):
        return None
    if found != (plan.shard_digest(shard), crc32c(pooled.tobytes())):
        return None
    return ShardRecord(digest, pooled)


def num_without_record(part: Path, plan: EmbeddingPlan, shards: Sequence[int]) -> int:
    """How many of these shards have no record yet. A late listing must not hide one: then nobody would finish."""
    look_again(part / RECORDS)
    listed = {path.name for path in (part / RECORDS).glob("*.safetensors")}
    paths = (_record_path(part, shard) for shard in shards)
    return sum(path.name not in listed and not path.exists() for path in paths)


def is_committed(part: Path, plan: EmbeddingPlan, shard: int, layout: ShardLayout) -> bool:
    """Whether the record of a shard is there and its file still has the recorded content; reads the whole file."""
    record = read_record(part, plan, shard)
    if record is None:
        return False
    try:
        return OpenShard(shard_path(part, shard), layout).digest() == record.digest
    except (OSError, ValueError):
        return False


def pool(rows: torch.Tensor, lengths: NDArray[np.int64]) -> NDArray[np.float32]:
    """Mean over the rows of each sequence: [sequences, row_width].

    `rows` [sum of lengths, row_width] are as stored, so that anybody can compute the same from the store: runs of 64
    rows are summed in float32 one row after another, their sums in float64.
    """
    means = np.empty((len(lengths), rows.shape[1]), dtype=np.float32)
    start = number = 0
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite stays so, and the caller looks for it
        for count, length in _equal_neighbours(lengths):
            own = rows[start : start + count * length].float().numpy().reshape(count, length, -1)
            sums = [
                np.add.reduce(own[:, first : first + _POOLED_ROWS], axis=1) for first in range(0, length, _POOLED_ROWS)
            ]
            means[number : number + count] = np.add.reduce(sums, axis=0, dtype=np.float64) / length
            start, number = start + count * length, number + count
    return means


def _equal_neighbours(lengths: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """How many neighbours have which length; no more of them than fit a processor's cache."""
    for length, same in groupby(lengths.tolist()):
        left, most = len(list(same)), max(1, _AT_ONCE // length)
        while left:
            count = min(left, most)
            yield count, length
            left -= count


def pool_shard(
    opened: OpenShard, logical_dtype: str, row_width: int, lengths: NDArray[np.int64]
) -> NDArray[np.float32]:
    """`pool` of the sequences of a shard file; they follow each other in it without a gap."""
    rows = np.empty((int(lengths.sum()), row_width), dtype=stored_dtype(logical_dtype))
    opened.copy(as_bytes(rows), 0, 0, rows.nbytes)
    return pool(as_logical(rows, logical_dtype), lengths)


def _record_path(part: Path, shard: int) -> Path:
    return part / RECORDS / f"{shard:08d}.safetensors"


def _not_finite(plan: EmbeddingPlan, shard: int, rows: torch.Tensor, logical: str) -> CorruptError:
    finite = torch.isfinite(rows).all(dim=1)
    row = int(torch.argmin(finite.to(torch.uint8)))
    ends = np.cumsum(plan.lengths_of(shard))
    bad = plan.sequences[plan.shard_sequences(shard)[int(np.searchsorted(ends, row, side="right"))]]
    return CorruptError(
        f"shard {shard}, row {row}: the embedding of {bad[:20]}... ({len(bad)} residues) is not finite as {logical}. "
        "Try store.dtype float32, or check the weights."
    )
