"""Which networks and losses take the two sides of a pair for different things."""

from __future__ import annotations

from hpc.errors import InputError
from snw_dist.config import LossName, ModelName
from snw_dist.model.legal_losses import loss_of

WITHOUT_SIDES: tuple[ModelName, ...] = ("siamese",)
"""Networks whose score does not depend on the order of the two sides."""
BY_SIDE = ("triplet", "info_nce")
"""Losses that take ligand and receptor for two kinds of things."""


def check_sides(model: ModelName, loss: LossName, symmetric: bool) -> None:
    """Raise `InputError` where the sides mean nothing, but network or loss take them for two kinds of things.

    `symmetric`: the sides of the pairs mean nothing (`data.symmetric`).
    """
    if not symmetric:
        return
    if model not in WITHOUT_SIDES:
        raise InputError(
            f"model.name {model!r} reads ligand and receptor differently, so with data.symmetric the score of a pair "
            f"would depend on its order. It does not with: {', '.join(WITHOUT_SIDES)}. Choose that as model.name."
        )
    if loss_of(model, loss) in BY_SIDE:
        raise InputError(
            f"train.loss {loss!r} compares the ligands of a receptor, and with data.symmetric there is none. Set "
            "train.loss to auto, contrastive or rank."
        )
