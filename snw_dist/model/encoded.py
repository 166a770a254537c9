"""A pair network with ESM C in front of it: both are trained, and a batch holds residues in place of stored rows."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from snw_dist.model.pair import PairModel, PairOutput, Parts, Side


class Encoded(nn.Module):
    """`states` of a side are the tokens of its residues, [num_distinct, max_length, 1] int64."""

    def __init__(self, encoder: nn.Module, network: nn.Module) -> None:
        super().__init__()
        self.encoder, self.network = encoder, network

    def forward(self, ligand: Side, receptor: Side) -> PairOutput:
        """Compare the pairs of a batch."""
        sides = ligand, receptor
        states = self.encoder(*((side.states.squeeze(-1), side.mask) for side in sides))
        output: PairOutput = self.network(*(s._replace(states=x) for s, x in zip(sides, states, strict=True)))
        return output

    def ligands(self, side: Side) -> Parts:
        """See `PairModel`."""
        return self._inner.ligands(self._encoded(side))

    def receptors(self, side: Side) -> Parts:
        """See `PairModel`."""
        return self._inner.receptors(self._encoded(side))

    def pairs(self, ligand: Parts, left: torch.Tensor, receptor: Parts, right: torch.Tensor) -> PairOutput:
        """See `PairModel`; `left`, `right`: [num_pairs]."""
        return self._inner.pairs(ligand, left, receptor, right)

    @property
    def _inner(self) -> PairModel:
        return cast(PairModel, self.network)

    def _encoded(self, side: Side) -> Side:
        [states] = self.encoder((side.states.squeeze(-1), side.mask))
        return side._replace(states=states)
