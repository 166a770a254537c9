"""Pseudo-Siamese network: a tower of its own for each side (Zagoruyko & Komodakis 2015), score from their distance."""

from __future__ import annotations

from torch import nn

from snw_dist.model.pair import PairOutput, Side, closeness, unit_distance


class PseudoSiamese(nn.Module):
    """Two towers, because a peptide and a protein are read differently."""

    def __init__(self, ligand_tower: nn.Module, receptor_tower: nn.Module, margin: float) -> None:
        super().__init__()
        self.ligand_tower, self.receptor_tower, self.margin = ligand_tower, receptor_tower, margin

    def forward(self, ligand: Side, receptor: Side) -> PairOutput:
        """Compare the pairs of a batch."""
        ligands = self.ligand_tower(ligand)[ligand.pair_index]
        receptors = self.receptor_tower(receptor)[receptor.pair_index]
        distance = unit_distance(ligands, receptors)
        return PairOutput(closeness(distance, self.margin), distance, ligand=ligands, receptor=receptors)
