"""Rows of all ranks for a loss that compares them; in the training's own process group, so also between GPUs."""

from __future__ import annotations

import torch
import torch.distributed as dist
import torch.nn.functional as F


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
