"""Rows and arrays of all ranks: for a loss, in the training's own process group; for a decision, sealed."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from numpy.typing import NDArray

from hpc.disk.reading import BadFileError, parse_json
from hpc.errors import EnvironmentProblem
from hpc.ranks.communicator import Communicator


def gather_rows(own: torch.Tensor, num_rows: int) -> torch.Tensor:
    """Every rank's rows in rank order, [world_size * num_rows, ...]; collective.

    `own`: [at most num_rows, ...], filled up with zeros. Gradients flow to the own rows alone: if every rank computes
    the same loss of all rows, the sum of the ranks' gradients is that of one process, without a collective in the
    backward pass, where it could meet those of the engine.
    """
    filled = F.pad(own, [0, 0] * (own.ndim - 1) + [0, num_rows - len(own)])
    if not dist.is_initialized():
        return filled
    parts = [torch.empty_like(filled) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, filled.detach().contiguous())
    parts[dist.get_rank()] = filled
    return torch.cat(parts)


def own_rows(num_rows: int) -> slice:
    """Where this rank's rows are among those of `gather_rows`."""
    rank = dist.get_rank() if dist.is_initialized() else 0
    return slice(rank * num_rows, (rank + 1) * num_rows)


def gather_arrays(comm: Communicator, own: Sequence[NDArray[np.float64]]) -> list[list[NDArray[np.float64]]]:
    """Every rank's float64 arrays [...], each of any shape, in rank order, on every rank; collective."""
    head = json.dumps([array.shape for array in own]).encode() + b"\n"
    data = head + b"".join(np.ascontiguousarray(array, "<f8").tobytes() for array in own)
    return [_arrays(part, rank) for rank, part in enumerate(comm.gather_bytes(data))]


def _arrays(data: bytes, rank: int) -> list[NDArray[np.float64]]:
    """Nothing is made larger than what has come."""
    head, _, content = data.partition(b"\n")
    try:
        shapes = [[int(size) for size in shape] for shape in parse_json(head, f"rank {rank}")]
        counts = [math.prod(shape) for shape in shapes]
        if min((size for shape in shapes for size in shape), default=0) < 0 or 8 * sum(counts) != len(content):
            raise ValueError("sizes and content do not fit")
    except (BadFileError, ValueError, TypeError) as error:
        raise EnvironmentProblem(f"rank {rank} has sent what are no arrays: {error}") from None
    values = np.frombuffer(content, "<f8").astype(np.float64)
    ends = np.cumsum(counts, dtype=np.int64).tolist()
    return [values[end - count : end].reshape(shape) for shape, count, end in zip(shapes, counts, ends, strict=True)]
