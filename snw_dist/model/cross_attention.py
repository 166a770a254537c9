"""Residue-level cross attention between ligand and receptor, as a binary classifier."""

from __future__ import annotations

import torch
from torch import nn

from snw_dist.model.complex import ComplexEncoder, ComplexNetwork
from snw_dist.model.pair import PairOutput, Parts


class CrossAttention(ComplexNetwork):
    """The score is a probability; the attention says where each ligand residue looked in the receptor."""

    def __init__(self, encoder: ComplexEncoder, head: nn.Module) -> None:
        super().__init__(encoder)
        self.head = head

    def pairs(self, ligand: Parts, left: torch.Tensor, receptor: Parts, right: torch.Tensor) -> PairOutput:
        """See `PairModel`; `left`, `right`: [num_pairs]."""
        complexes, attention = self.encoder(ligand, left, receptor, right)
        logit: torch.Tensor = self.head(complexes).squeeze(-1).float()
        return PairOutput(logit.sigmoid(), logit=logit, attention=attention)
