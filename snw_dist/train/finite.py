"""Numbers that are not finite: which tensor has them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch

from hpc.errors import CorruptError


class NotFiniteError(CorruptError):
    """Loss, gradients, weights or scores are not finite; raised by all ranks at the same step."""


class Suspect(NamedTuple):
    """The tensor that is not finite, or is most likely to have made something else so."""

    place: int
    """Of its parameter among all of the network."""
    name: str
    value: str
    """One that is not finite, or the largest where all are finite and only their norm is not; in digits."""

    @property
    def finite(self) -> bool:
        """Whether all of it is."""
        return math.isfinite(float(self.value))


def find_suspect(tensors: Iterable[tuple[int, str, torch.Tensor]]) -> Suspect | None:
    """The first of (place, name, tensor [...]) that is not finite, or else the largest; None when there is none."""
    largest: tuple[Suspect | None, float] = (None, 0.0)
    for place, name, tensor in sorted(tensors, key=lambda item: item[0]):
        if tensor.numel() == 0:
            continue
        value = extreme(tensor)
        if largest[0] is None or not abs(value) <= largest[1]:
            largest = Suspect(place, name, f"{value:.3g}"), abs(value)
        if not math.isfinite(value):
            break
    return largest[0]


def extreme(tensor: torch.Tensor) -> float:
    """The element of a tensor [...] that is farthest from 0; NaN where one is."""
    low, high = (float(value) for value in torch.aminmax(tensor.detach()))  # both are NaN where one element is
    return low if abs(low) > abs(high) else high


def refuse_not_finite(weights: Mapping[str, torch.Tensor], where: str) -> None:
    """Raise `NotFiniteError` naming the first parameter, trained or frozen, whose weights [...] are not finite."""
    suspect = find_suspect((place, name, weight) for place, (name, weight) in enumerate(weights.items()))
    if suspect is not None and not suspect.finite:
        raise NotFiniteError(
            f"{where}: the weights of {suspect.name!r} are not finite ({suspect.value}); all ranks stop"
        )
