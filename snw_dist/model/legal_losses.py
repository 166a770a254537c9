"""By which losses each network can be trained."""

from __future__ import annotations

from hpc.errors import InputError
from snw_dist.config import LossName, ModelName

LOSSES: dict[ModelName, tuple[LossName, ...]] = {
    "siamese": ("contrastive", "triplet", "info_nce", "rank"),
    "pseudo_siamese": ("contrastive", "triplet", "info_nce", "rank"),
    "triplet": ("triplet", "info_nce", "rank"),
    "pair_of_pairs": ("complexes", "contrastive", "rank"),
    "cross_attention": ("bce", "rank"),
    "changeformer": ("bce", "rank"),
}
"""What each network can be trained by; the first one is `auto`."""

IN_BATCH = ("triplet", "info_nce", "rank", "complexes")
"""Losses that compare pairs with each other."""


def loss_of(model: ModelName, loss: LossName) -> LossName:
    """The loss to train by; raises `InputError` when the network does not give what it needs."""
    if loss == "auto":
        return LOSSES[model][0]
    if loss not in LOSSES[model]:
        legal = ", ".join(("auto", *LOSSES[model]))
        raise InputError(f"train.loss {loss!r} does not go with model.name {model!r}; legal with it: {legal}.")
    return loss
