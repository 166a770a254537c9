"""Siamese network over two complexes of ligand and receptor: near each other when their docking is alike.

One network turns a complex into a vector. The distance of two complexes stands for how different their labels are. To
give one pair a score it is compared with the ideal complex, a learned vector that takes part in training as a complex
of label 1.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from snw_dist.model.complex import ComplexEncoder, ComplexNetwork
from snw_dist.model.pair import PairOutput, Parts, closeness, unit_distance


class PairOfPairs(ComplexNetwork):
    """The two complexes that are compared are any two of a batch, see `losses.complexes_loss`."""

    def __init__(self, encoder: ComplexEncoder, head: nn.Module, size: int, margin: float) -> None:
        super().__init__(encoder)
        self.head, self.margin = head, margin
        self.ideal = nn.Parameter(torch.randn(size))

    def pairs(self, ligand: Parts, left: torch.Tensor, receptor: Parts, right: torch.Tensor) -> PairOutput:
        """See `PairModel`; `left`, `right`: [num_pairs]."""
        complexes, attention = self.encoder(ligand, left, receptor, right)
        vectors = F.normalize(self.head(complexes).float(), dim=-1)
        distance = unit_distance(vectors, F.normalize(self.ideal.float(), dim=0))
        return PairOutput(closeness(distance, self.margin), distance, complex=vectors, attention=attention)
