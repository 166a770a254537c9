"""What the embedding tests share: sequences, and small stores with rows that are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import zarr
from numpy.typing import NDArray

from snw_dist.embedding.store.commits import commit_shard, is_committed, shard_buffer
from snw_dist.embedding.store.dtypes import torch_dtype
from snw_dist.embedding.store.group import checksums, complete_header, create_part, finalize_part
from snw_dist.embedding.store.header import StoreHeader, read_header
from snw_dist.embedding.store.part_plan import PartPlan
from snw_dist.embedding.store.plan import EmbeddingPlan, plan_embedding, sequence_digest

LETTERS = "LAGVSERTIDPKQNFYMHWCXBUZO"
WIDTH = 8
ENCODER = {"name": "test", "description": "rows of the test", "weights_sha256": "0" * 64, "layers": [2]}
ENCODER |= {"combine": "concat", "arithmetic": "fp32", "window_residues": 2046, "window_overlap": 512}


def random_sequences(lengths: Sequence[int], seed: int = 0, letters: str = LETTERS) -> list[str]:
    generator = np.random.default_rng(seed)
    return ["".join(generator.choice(list(letters), size=length)) for length in lengths]


def rows_of(sequence: str, width: int = WIDTH) -> NDArray[np.float32]:
    """Rows that depend on the sequence alone: [residues, width]."""
    generator = np.random.default_rng(int.from_bytes(sequence_digest(sequence)[:8], "big"))
    return generator.standard_normal((len(sequence), width), dtype=np.float32)


def shard_rows_of(plan: EmbeddingPlan, shard: int) -> NDArray[np.float32]:
    return np.concatenate([rows_of(plan.sequences[i]) for i in plan.shard_sequences(shard)])


def header_of(plan: EmbeddingPlan, dtype: str, width: int = WIDTH) -> StoreHeader:
    return PartPlan(0, Path("store"), plan, [], 0).header(ENCODER, dtype, width)


def names_of(plan: EmbeddingPlan) -> list[tuple[str, str, int]]:
    """Each sequence under its own name, and the first also as a receptor with a name outside ASCII."""
    names = [("ligand", f"peptide {i}", i) for i in range(len(plan.sequences))]
    return [*names, ("receptor", "Äther/../x", 0)]


def open_store(path: Path, sequences: Sequence[str], dtype: str = "float32") -> EmbeddingPlan:
    """An empty store of small shards: 32 rows in chunks of 8."""
    plan = plan_embedding(sequences, 32, 8)
    create_part(path, plan, header_of(plan, dtype), names_of(plan))
    return plan


def filled_buffer(plan: EmbeddingPlan, shard: int, dtype: str, rows: NDArray[np.float32] | None = None) -> torch.Tensor:
    """The rows of a shard where `commit_shard` wants them; what follows is rubbish of an earlier shard."""
    rows = shard_rows_of(plan, shard) if rows is None else rows
    buffer = shard_buffer(plan, rows.shape[1], torch_dtype(dtype))
    buffer[:] = 77.0
    buffer[: len(rows)] = torch.from_numpy(rows)
    return buffer


def fill_store(path: Path, plan: EmbeddingPlan, order: Sequence[int] | None = None) -> None:
    dtype = read_header(path).logical_dtype
    for shard in order if order is not None else range(plan.num_shards):
        commit_shard(path, plan, shard, filled_buffer(plan, shard, dtype))


def committed(path: Path, plan: EmbeddingPlan) -> set[int]:
    layout = read_header(path).layout
    return {shard for shard in range(plan.num_shards) if is_committed(path, plan, shard, layout)}


def finished_store(
    path: Path, sequences: Sequence[str], dtype: str = "float32", order: Sequence[int] | None = None
) -> EmbeddingPlan:
    plan = open_store(path, sequences, dtype)
    fill_store(path, plan, order)
    finalize_part(path, plan)
    return plan


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


def flip_bit(file: Path, bit: int) -> None:
    data = bytearray(file.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    file.write_bytes(data)


def sign(path: Path) -> None:
    """Give the header the digests of the files as they are now."""
    complete_header(read_header(path), checksums(path)).write(path)


def put(path: Path, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Change a table, in the very form that we write."""
    group = zarr.open_group(path, mode="r+", zarr_format=3)
    before = zarr.open_array(path / name, mode="r")
    values = change(np.asarray(before[...]).copy())
    chunks, codecs = values.shape, before.compressors
    del group
    new = zarr.create_array(
        path / name, shape=values.shape, chunks=chunks, dtype=values.dtype, compressors=codecs, overwrite=True
    )
    new[...] = values
    sign(path)


DTYPES = ("float32", "float16", "bfloat16")
SEQUENCES = random_sequences([1, 1, 2, 3, 5, 8, 8, 9, 13, 16, 17, 30, 32], seed=3)


def as_zarr(path: Path, name: str) -> zarr.Array:
    array = zarr.open_group(path, mode="r")[name]
    assert isinstance(array, zarr.Array)
    return array


def tensor_of(rows: np.ndarray, dtype: str) -> torch.Tensor:
    """Rounding by torch, as a second opinion on ours."""
    return torch.from_numpy(rows).to(getattr(torch, dtype))
