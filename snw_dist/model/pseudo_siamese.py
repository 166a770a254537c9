"""Pseudo-Siamese network: a tower of its own for each side (Zagoruyko & Komodakis 2015), score from their distance."""

from __future__ import annotations

import torch
from torch import nn

from snw_dist.model.pair import PairNetwork, PairOutput, Parts, Side, compared_vectors


class PseudoSiamese(PairNetwork):
    """Two towers, because a peptide and a protein are read differently."""

    def __init__(self, ligand_tower: nn.Module, receptor_tower: nn.Module, margin: float) -> None:
        super().__init__()
        self.ligand_tower, self.receptor_tower, self.margin = ligand_tower, receptor_tower, margin

    def ligands(self, side: Side) -> Parts:
        """Their vectors."""
        return (self.ligand_tower(side),)

    def receptors(self, side: Side) -> Parts:
        """Their vectors."""
        return (self.receptor_tower(side),)

    def pairs(self, ligand: Parts, left: torch.Tensor, receptor: Parts, right: torch.Tensor) -> PairOutput:
        """See `PairModel`; `left`, `right`: [num_pairs]."""
        return compared_vectors(ligand[0][left], receptor[0][right], self.margin)
