"""Siamese network: one shared tower for ligand and receptor (Bromley et al. 1993), score from their distance."""

from __future__ import annotations

from torch import nn

from snw_dist.model.pair import PairOutput, Side, closeness, unit_distance


class Siamese(nn.Module):
    """Swapping ligand and receptor leaves the score unchanged."""

    def __init__(self, tower: nn.Module, margin: float) -> None:
        super().__init__()
        self.tower, self.margin = tower, margin

    def forward(self, ligand: Side, receptor: Side) -> PairOutput:
        """Compare the pairs of a batch."""
        ligands = self.tower(ligand)[ligand.pair_index]
        receptors = self.tower(receptor)[receptor.pair_index]
        distance = unit_distance(ligands, receptors)
        return PairOutput(closeness(distance, self.margin), distance, ligand=ligands, receptor=receptors)
