"""What goes into a pair network and what comes out of it."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch


class Side(NamedTuple):
    """One side (ligands or receptors) of a batch of pairs; each distinct sequence is there once."""

    states: torch.Tensor
    """[num_distinct, max_length, d_input] embeddings, zero where padded."""
    mask: torch.Tensor
    """[num_distinct, max_length] bool, true at residues."""
    pair_index: torch.Tensor
    """[num_pairs] int64: which sequence each pair has on this side."""


class PairOutput(NamedTuple):
    """Comparison of each pair of a batch."""

    score: torch.Tensor
    """[num_pairs] float32 in [0, 1]; higher is closer."""
    distance: torch.Tensor
    """[num_pairs] float32, at least 0."""


class PairModel(Protocol):
    """The one protocol of every network of the family."""

    def __call__(self, ligand: Side, receptor: Side) -> PairOutput:
        """Compare the pairs of a batch."""
        ...


def pair_distance(ligand: torch.Tensor, receptor: torch.Tensor, margin: float) -> PairOutput:
    """Euclidean distance between unit vectors, [num_pairs, size] each, and the score 1 - distance / margin in [0, 1].

    In float32 whatever the network computes in: the square root is steep near zero.
    """
    squared = (ligand.float() - receptor.float()).square().sum(dim=-1)
    distance = (squared + 1e-6).sqrt()  # keeps the gradient finite where both vectors are equal
    return PairOutput((1.0 - distance / margin).clamp(0.0, 1.0), distance)
