"""Siamese network: one shared tower for ligand and receptor (Bromley et al. 1993), score from their distance."""

from __future__ import annotations

import torch
from torch import nn

from snw_dist.model.pair import PairNetwork, PairOutput, Parts, Side, compared_vectors


class Siamese(PairNetwork):
    """Swapping ligand and receptor leaves the score unchanged."""

    def __init__(self, tower: nn.Module, margin: float) -> None:
        super().__init__()
        self.tower, self.margin = tower, margin

    def ligands(self, side: Side) -> Parts:
        """Their vectors."""
        return (self.tower(side),)

    def receptors(self, side: Side) -> Parts:
        """Their vectors, by the same tower."""
        return (self.tower(side),)

    def pairs(self, ligand: Parts, left: torch.Tensor, receptor: Parts, right: torch.Tensor) -> PairOutput:
        """See `PairModel`; `left`, `right`: [num_pairs]."""
        return compared_vectors(ligand[0][left], receptor[0][right], self.margin)
