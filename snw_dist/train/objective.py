"""The loss of a micro-batch: which one, and over which pairs.

A loss that compares pairs with each other takes those of all ranks. Every rank then computes the same losses, and the
gradient reaches its own pairs; with the weights of `rank_share`, the engine's mean over ranks is the gradient of
one process that holds them all.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from hpc.ranks.gather import gather_rows, own_rows
from snw_dist.config import LossName
from snw_dist.model.legal_losses import IN_BATCH
from snw_dist.model.losses import (
    Mining,
    bce_loss,
    complexes_loss,
    contrastive_loss,
    info_nce_loss,
    rank_loss,
    triplet_loss,
)
from snw_dist.model.pair import PairOutput
from snw_dist.predict.batches import Target


@dataclass(frozen=True)
class Objective:
    """A loss with its settings."""

    loss: LossName
    margin: float
    temperature: float
    triplet_margin: float
    mining: Mining

    def shared(self, output: PairOutput, target: Target, num_rows: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Collective where the loss is in-batch: what to minimise, [], and this rank's share of its value, [].

        `num_rows`: the most pairs that any rank has in this micro-batch.
        """
        if self.loss not in IN_BATCH:
            total = (self.losses(output, target) * target.weight).sum()
            return total, total.detach()
        parts = output._replace(attention=None)._asdict().items()
        whole = PairOutput(**{name: gather_rows(part, num_rows) for name, part in parts if part is not None})
        targets = Target(*(gather_rows(part, num_rows) for part in target))
        weighted = self.losses(whole, targets) * targets.weight
        return weighted.sum(), weighted[own_rows(num_rows)].sum().detach()

    def losses(self, output: PairOutput, target: Target) -> torch.Tensor:
        """One value for each pair of a batch: [num_pairs] float32."""
        match self.loss:
            case "contrastive":
                return contrastive_loss(_given(output.distance), target.label, self.margin)
            case "bce":
                return bce_loss(_given(output.logit), target.label)
            case "triplet":
                distance = _given(output.distance)
                return triplet_loss(
                    distance, target.label, target.receptor_id, target.weight, self.triplet_margin, self.mining
                )
            case "info_nce":
                vectors = _given(output.ligand), _given(output.receptor)
                return info_nce_loss(*vectors, *target, self.temperature)
            case "rank":
                closeness = -_given(output.distance) / self.temperature if output.logit is None else output.logit
                return rank_loss(closeness, target.label, target.weight)
            case "complexes":
                distance = _given(output.distance)
                return complexes_loss(_given(output.complex), distance, target.label, target.weight, self.margin)
        raise AssertionError(self.loss)


def _given(part: torch.Tensor | None) -> torch.Tensor:
    assert part is not None  # `loss_of` has matched network and loss
    return part
