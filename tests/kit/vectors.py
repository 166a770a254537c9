"""Vectors of towers, and the best of them by computing every score and sorting all."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from snw_dist.model.pair import compared_vectors
from snw_dist.screen.product.merge import Best


def unit_vectors(num: int, size: int, seed: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """[num, size], in all directions alike."""
    vectors = torch.randn(num, size, generator=torch.Generator().manual_seed(seed))
    return F.normalize(vectors, dim=-1).to(dtype)


def directly(partners: torch.Tensor, rows: torch.Tensor, k: int, margin: float) -> Best:
    """All scores of the network, and a stable sort; [m, k]."""
    score = torch.stack([compared_vectors(partners, row.expand_as(partners), margin).score for row in rows])
    index = score.argsort(dim=1, descending=True, stable=True)[:, :k]
    return Best(score.gather(1, index), index)


def same(one: Best, other: Best) -> bool:
    """Every bit."""
    return torch.equal(one.score, other.score) and torch.equal(one.index, other.index)
