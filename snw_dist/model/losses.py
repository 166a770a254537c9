"""Losses as pure tensor functions: each gives one value a pair, whose weighted mean is to be minimised.

The first two look at each pair alone. The others compare the pairs of a batch with each other and take `weight`,
[num_pairs]: a pair counts as a partner by its weight, so one of weight 0 does not count. Ranks that share a batch give
them the pairs of all ranks (`snw_dist.train.objective`).
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F

from snw_dist.model.pair import unit_distance

Mining = Literal["all", "semi_hard", "hard"]


def contrastive_loss(distance: torch.Tensor, label: torch.Tensor, margin: float) -> torch.Tensor:
    """Contrastive loss of each pair (Hadsell et al. 2006), [num_pairs], for hard or soft labels in [0, 1].

    y d^2 + (1 - y) max(0, m - d)^2. For d < m this is (d - (1 - y) m)^2 + y (1 - y) m^2: the optimum is d = (1 - y) m,
    so the score 1 - d / m estimates the label.
    """
    return label * distance.square() + (1.0 - label) * (margin - distance).clamp(min=0.0).square()


def bce_loss(logit: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Binary cross entropy of each pair, [num_pairs], for hard or soft labels: the optimum is sigmoid(logit) = y."""
    return F.binary_cross_entropy_with_logits(logit, label, reduction="none")


def triplet_loss(
    distance: torch.Tensor,
    label: torch.Tensor,
    receptor_id: torch.Tensor,
    weight: torch.Tensor,
    margin: float,
    mining: Mining,
) -> torch.Tensor:
    """Triplets (receptor, binder, non-binder) among the pairs of a batch: [num_pairs], 0 where a pair is no binder.

    max(0, d(binder) - d(non-binder) + margin (y(binder) - y(non-binder))) for two pairs of one receptor, the first of
    the higher label: with labels 0 and 1 the loss of FaceNet (Schroff et al. 2015), which AI-Bind uses (Chatterjee et
    al. 2023). Each binder takes the mean over its non-binders: over `all` of them, over those that are farther than it
    (`semi_hard`), or the nearest one alone (`hard`).

    Triplets alone say nothing of how scores of two receptors compare. So non-binders of other receptors are to be
    farther too, by half the margin (the second term of the quadruplet loss, Chen et al. 2017).
    """
    gap, excess = distance[:, None] - distance, label[:, None] - label
    same = receptor_id[:, None] == receptor_id

    def mined(worse: torch.Tensor, margin: float) -> torch.Tensor:
        if mining == "semi_hard":
            worse = worse & (gap < 0)
        elif mining == "hard":
            nearest = distance.expand_as(worse).masked_fill(~worse, torch.inf).argmin(dim=1, keepdim=True)
            worse = worse & (torch.arange(len(label), device=label.device) == nearest)
        return _weighted_mean((gap + margin * excess).clamp(min=0.0), worse * weight)

    worse = (excess > 0) & (weight > 0)
    return mined(worse & same, margin) + mined(worse & ~same, margin / 2)


def info_nce_loss(
    ligand: torch.Tensor,
    receptor: torch.Tensor,
    label: torch.Tensor,
    ligand_id: torch.Tensor,
    receptor_id: torch.Tensor,
    weight: torch.Tensor,
    temperature: float,
) -> torch.Tensor:
    """In-batch InfoNCE (van den Oord et al. 2018) in both directions, as CLIP (Radford et al. 2021): [num_pairs].

    `ligand`, `receptor`: [num_pairs, size] unit vectors of each pair. A pair asks, in proportion to its label, which of
    all receptors of the batch is its ligand's, and which of all ligands its receptor's. The same sequence once more is
    no wrong answer, nor is one that binds according to the batch (label above 0.5).
    """
    similarity = ligand @ receptor.T / temperature
    same_ligand, same_receptor = ligand_id[:, None] == ligand_id, receptor_id[:, None] == receptor_id
    present, binds = weight > 0, (label > 0.5) & (weight > 0)
    known = (same_ligand & binds).float() @ same_receptor.float() > 0  # the row's ligand binds the column's receptor
    own = similarity.diagonal()

    def surprise(logits: torch.Tensor, wrong: torch.Tensor) -> torch.Tensor:
        others = logits.masked_fill(~(wrong & present), float("-inf"))
        return torch.cat([own[:, None], others], dim=1).logsumexp(dim=1) - own

    which_receptor = surprise(similarity, ~same_receptor & ~known)
    which_ligand = surprise(similarity.T, ~same_ligand & ~known.T)
    return 0.5 * label * (which_receptor + which_ligand)


def rank_loss(closeness: torch.Tensor, label: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Pairwise logistic ranking (RankNet, Burges et al. 2005) over pairs of pairs, for continuous labels: [num_pairs].

    `closeness`: [num_pairs], unbounded, higher is closer. log(1 + exp(c(lower) - c(higher))), each comparison weighted
    by how far the labels are apart; a pair takes the mean over all pairs of a lower label.
    """
    excess = (label[:, None] - label).clamp(min=0.0)
    return _weighted_mean(F.softplus(closeness - closeness[:, None]), excess * weight)


def complexes_loss(
    complexes: torch.Tensor, from_ideal: torch.Tensor, label: torch.Tensor, weight: torch.Tensor, margin: float
) -> torch.Tensor:
    """Contrastive loss over pairs of complexes, whose likeness is 1 - |y - y'|: [num_pairs].

    `complexes`: [num_pairs, size] unit vectors; `from_ideal`: [num_pairs], their distance from the ideal complex, which
    is one more complex of label 1. A pair takes the mean over all others, plus the ideal one.
    """
    between = unit_distance(complexes[:, None], complexes)
    alike = 1.0 - (label[:, None] - label).abs()
    others = ~torch.eye(len(label), dtype=torch.bool, device=label.device)
    mutual = _weighted_mean(contrastive_loss(between, alike, margin), others * weight)
    return mutual + contrastive_loss(from_ideal, label, margin)


def _weighted_mean(values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Of each row, [n, n] -> [n]; 0 where all weights are."""
    total = weights.sum(dim=1)
    return (values * weights).sum(dim=1) / total.masked_fill(
        ~(total > 0), 1.0
    )  # `where` would bring 1.0 to a GPU, and wait
