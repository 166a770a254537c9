"""How far the scores of a bundle can be trusted: what validation says of it, and nothing else does.

A *band* holds, for scores from low to high, the ends of the interval of their probability. A *limit* is the value that
few pairs of validation go beyond: a pair that does is unlike those that the calibration was fitted on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Self

import numpy as np
import pydantic
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from snw_dist.arrays import FloatArray
from snw_dist.bundle.nearest import TrainedOn, sides_of

if TYPE_CHECKING:  # who reads the file needs none of what makes it
    from snw_dist.bundle.members import Chosen, Member

RARE = 0.05
"""Share of the pairs of validation that may lie beyond a limit."""
_VAL, _TRAIN = "val", "train"
_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
_Number = Annotated[float, Field(strict=True)]
_Share = Annotated[float, Field(strict=True, ge=0, le=1)]
_Count = Annotated[int, Field(strict=True, ge=0)]


@dataclass(config=_STRICT, frozen=True)
class Limits:
    """Beyond these a pair is unlike those of validation."""

    ligand: _Share
    """The smallest identity to the closest training sequence that is not rare."""
    receptor: _Share
    disagreement: _Share | None
    """The largest distance of two members' probabilities that is not rare; None where no pair of validation has two."""


@dataclass(config=_STRICT, frozen=True)
class Trust:
    """The content of `trust.json`."""

    num_positive: _Count
    """Of the pairs of validation."""
    num_negative: _Count
    band: list[Annotated[list[_Number], Field(min_length=3, max_length=3)]]
    """Score, low and high end, rising; empty where there is no calibration, or no bootstrap."""
    limits: Limits

    @pydantic.model_validator(mode="after")
    def _is_a_band(self) -> Self:
        values = np.array(self.band).reshape(-1, 3)
        if (np.diff(values, axis=0) < 0).any() or (values[:, 1] > values[:, 2]).any():
            raise ValueError("the ends of the band do not rise, or are exchanged")
        if not ((values[:, 1:] >= 0) & (values[:, 1:] <= 1)).all():
            raise ValueError("an end of the band is not from 0 to 1")
        return self


def trained_sequences(members: Sequence[Member]) -> TrainedOn:
    """The distinct sequences of all pairs that any of the members was trained on."""
    found: tuple[set[str], set[str]] = set(), set()
    for prepared in {id(member.prepared): member.prepared for member in members}.values():
        train = prepared.pairs[prepared.pairs["split"] == _TRAIN]
        found[0].update(prepared.ligands[name] for name in train["ligand_id"].unique())
        found[1].update(prepared.receptors[name] for name in train["receptor_id"].unique())
    return TrainedOn(sorted(found[0]), sorted(found[1]))


def trust_of(chosen: Chosen, band: Sequence[Sequence[float]]) -> dict[str, Any]:
    """The content of `trust.json`; each pair of validation is compared with the training pairs of its own fold."""
    identities: tuple[list[float], list[float]] = [], []
    apart, positive = list[float](), list[bool]()
    for members in chosen.folds:
        first = members[0]
        chosen_rows = (first.predictions["split"] == _VAL).to_numpy()
        table = first.predictions[chosen_rows]
        sides = sides_of(trained_sequences(members), first.prepared.symmetric)
        for found, side, known in zip(identities, ("ligand", "receptor"), sides, strict=True):
            found += [one.identity for one in known.nearest(table[side].tolist())]
        if len(members) > 1:
            each = np.array([member.predictions["probability"][chosen_rows] for member in members])
            apart += np.ptp(each, axis=0).tolist()
        positive += table["positive"].tolist()
    return {
        "num_positive": sum(positive),
        "num_negative": len(positive) - sum(positive),
        "band": [list(row) for row in band],
        "limits": {
            "ligand": _rarely_below(np.array(identities[0])),
            "receptor": _rarely_below(np.array(identities[1])),
            "disagreement": -_rarely_below(-np.array(apart)) if apart else None,
        },
    }


def _rarely_below(values: FloatArray) -> float:
    """The largest of the values [n] that at most `RARE` of them are below; 1 of none: then nothing has been seen."""
    return float(np.quantile(values, RARE, method="inverted_cdf")) if values.size else 1.0
