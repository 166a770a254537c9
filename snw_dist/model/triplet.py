"""Triplet network: two towers into one space, ordered by (receptor, binder, non-binder).

AI-Bind (Chatterjee et al., Nature Communications 2023) learns such a space of proteins and ligands: a binder shall lie
nearer to its receptor than a non-binder. The triplets are made of the pairs of a batch, in `losses.triplet_loss`.
"""

from __future__ import annotations

from torch import nn

from snw_dist.model.pair import FARTHEST
from snw_dist.model.pseudo_siamese import PseudoSiamese


class Triplet(PseudoSiamese):
    """The loss knows no distance at which a pair is far enough, so the score falls to 0 at the largest there is."""

    def __init__(self, ligand_tower: nn.Module, receptor_tower: nn.Module) -> None:
        super().__init__(ligand_tower, receptor_tower, margin=FARTHEST)
