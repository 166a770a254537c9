"""What goes into a pair network and what comes out of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple, Protocol

import torch
from torch import nn

FARTHEST = 2.0
"""Largest distance of two unit vectors."""
TAIL = 0.05
"""Scores of metric networks below this are bent, see `closeness`."""


class Side(NamedTuple):
    """One side (ligands or receptors) of a batch of pairs; each distinct sequence is there once."""

    states: torch.Tensor
    """[num_distinct, max_length, d_input] embeddings, zero where padded."""
    mask: torch.Tensor
    """[num_distinct, max_length] bool, true at residues."""
    pair_index: torch.Tensor
    """[num_pairs] int64: which sequence each pair has on this side."""
    lengths: tuple[int, ...]
    """Residues of each sequence, in this process: to ask the mask for them would be to wait for the device."""


class PairOutput(NamedTuple):
    """Comparison of each pair of a batch; what a network does not have is None."""

    score: torch.Tensor
    """[num_pairs] float32 in [0, 1]; higher is closer, whatever the network."""
    distance: torch.Tensor | None = None
    """[num_pairs] float32, at least 0: between ligand and receptor, or of the complex from the ideal one."""
    logit: torch.Tensor | None = None
    """[num_pairs] float32, of a classifier; the score is its sigmoid."""
    ligand: torch.Tensor | None = None
    """[num_pairs, size] float32 unit vectors of the ligands, in the space of `receptor`."""
    receptor: torch.Tensor | None = None
    """[num_pairs, size] float32 unit vectors."""
    complex: torch.Tensor | None = None
    """[num_pairs, size] float32 unit vectors of the complexes of ligand and receptor."""
    attention: torch.Tensor | None = None
    """[num_pairs, ligand length, receptor length]: where each ligand residue looks in its receptor."""


Parts = tuple[torch.Tensor, ...]
"""What a network makes of sequences before it meets their partners: [num_distinct, ...] each."""


class PairModel(Protocol):
    """The one protocol of every network of the family."""

    def __call__(self, ligand: Side, receptor: Side) -> PairOutput:
        """Compare the pairs of a batch: `pairs` of `ligands` and `receptors`."""
        ...

    def ligands(self, side: Side) -> Parts:
        """All that is computed of ligands alone."""
        ...

    def receptors(self, side: Side) -> Parts:
        """All that is computed of receptors alone."""
        ...

    def pairs(self, ligand: Parts, left: torch.Tensor, receptor: Parts, right: torch.Tensor) -> PairOutput:
        """Compare pairs; `left`, `right`: [num_pairs] int64, which sequence of its side each pair has."""
        ...


class PairNetwork(nn.Module, ABC):
    """A `PairModel` whose sides are computed apart: every network that has no ESM C in front."""

    def forward(self, ligand: Side, receptor: Side) -> PairOutput:
        """Compare the pairs of a batch."""
        return self.pairs(self.ligands(ligand), ligand.pair_index, self.receptors(receptor), receptor.pair_index)

    @abstractmethod
    def ligands(self, side: Side) -> Parts:
        """See `PairModel`."""

    @abstractmethod
    def receptors(self, side: Side) -> Parts:
        """See `PairModel`."""

    @abstractmethod
    def pairs(self, ligand: Parts, left: torch.Tensor, receptor: Parts, right: torch.Tensor) -> PairOutput:
        """See `PairModel`; `left`, `right`: [num_pairs]."""


def unit_distance(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Euclidean distance between unit vectors, [..., size] each -> [...] float32, between 0 and 2.

    In float32 whatever the network computes in: the square root is steep near zero.
    """
    squared = (one.float() - other.float()).square().sum(dim=-1)
    return (squared + 1e-6).sqrt()  # keeps the gradient finite where both vectors are equal


def closeness(distance: torch.Tensor, margin: float) -> torch.Tensor:
    """[...] scores in (0, 1] of distances [...]: 1 - distance / margin.

    Trained by the contrastive loss it estimates the label.

    Below 0.05 it falls ever more slowly and never reaches 0, with no jump in its slope: cut off at 0 all pairs beyond
    the margin would tie, in no order. A pair at the margin has 0.025.
    """
    linear = 1.0 - distance / margin
    tail = TAIL**2 / (2.0 * TAIL - linear.clamp(max=TAIL))
    return torch.where(linear < TAIL, tail, linear).clamp(max=1.0)


def compared_vectors(ligands: torch.Tensor, receptors: torch.Tensor, margin: float) -> PairOutput:
    """Pairs of two unit vectors each, [num_pairs, size] float32, by their distance."""
    distance = unit_distance(ligands, receptors)
    return PairOutput(closeness(distance, margin), distance, ligand=ligands, receptor=receptors)
