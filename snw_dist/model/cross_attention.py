"""Residue-level cross attention between ligand and receptor, as a binary classifier."""

from __future__ import annotations

import torch
from torch import nn

from snw_dist.model.complex import ComplexEncoder
from snw_dist.model.pair import PairOutput, Parts, Side


class CrossAttention(nn.Module):
    """The score is a probability; the attention says where each ligand residue looked in the receptor."""

    def __init__(self, encoder: ComplexEncoder, head: nn.Module) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(self, ligand: Side, receptor: Side) -> PairOutput:
        """Compare the pairs of a batch."""
        return self.pairs(self.ligands(ligand), ligand.pair_index, self.receptors(receptor), receptor.pair_index)

    def ligands(self, side: Side) -> Parts:
        """See `ComplexEncoder`."""
        return self.encoder.ligands(side)

    def receptors(self, side: Side) -> Parts:
        """See `ComplexEncoder`."""
        return self.encoder.receptors(side)

    def pairs(self, ligand: Parts, left: torch.Tensor, receptor: Parts, right: torch.Tensor) -> PairOutput:
        """See `PairModel`; `left`, `right`: [num_pairs]."""
        complexes, attention = self.encoder(ligand, left, receptor, right)
        logit: torch.Tensor = self.head(complexes).squeeze(-1).float()
        return PairOutput(logit.sigmoid(), logit=logit, attention=attention)
