"""Ten pairs with the scores that `evaluate` gave them: whoever loads the networks must come to the same.

They are among the held-out pairs, from the lowest score to the highest. What they guard against is all that digests do
not see: another encoder behind the same name, a library or a device that computes otherwise, a mistake in the way from
sequences to scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from hpc.errors import CorruptError, EnvironmentProblem
from snw_dist.arrays import FloatArray

NUM_PAIRS = 10
TOLERANCE = {"fp32": 1e-3, "bf16": 2e-2}
"""By the arithmetic of the encoder, the largest difference of a score on another processor or device than that of
`evaluate`: kernels add in other orders, and rows of 16 bits turn the last digit into their own."""
_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
_Number = Annotated[float, Field(strict=True)]


@dataclass(config=_STRICT, frozen=True)
class ParityPair:
    """One pair."""

    ligand: Annotated[str, Field(min_length=1)]
    receptor: Annotated[str, Field(min_length=1)]
    scores: dict[str, _Number]
    """Member -> its score; of folds only those that did not learn from the pair."""


@dataclass(config=_STRICT, frozen=True)
class Parity:
    """The content of `parity.json`."""

    pairs: Annotated[list[ParityPair], Field(min_length=1, max_length=1000)]


def parity_of(tables: Sequence[Mapping[str, pd.DataFrame]]) -> dict[str, Any]:
    """The content of `parity.json`, from the held-out pairs of each fold as its members have scored them.

    tables: for each fold, member -> its predictions, with the columns ligand, receptor and score.
    """
    pairs = []
    for of_fold in tables:
        first = next(iter(of_fold.values()))
        order = np.argsort(first["score"].to_numpy(), kind="stable")
        count = min(len(order), -(-NUM_PAIRS // len(tables)))
        for row in order[np.linspace(0, len(order) - 1, count).round().astype(np.int64)].tolist():
            scores = {name: float(table["score"].iloc[row]) for name, table in of_fold.items()}
            pairs.append(
                {"ligand": first["ligand"].iloc[row], "receptor": first["receptor"].iloc[row], "scores": scores}
            )
    return {"pairs": pairs}


def largest_difference(parity: Parity, scores: Mapping[str, FloatArray], arithmetic: str, source: str) -> float:
    """How far the scores [pairs] of each member are from those that are written; 0.0 where all have the same bits.

    Raises `EnvironmentProblem` where that is more than `TOLERANCE`, and `CorruptError` where a member has no pair: it
    would be taken for right without having been looked at.
    """
    largest = 0.0
    for name, found in scores.items():
        rows = [row for row, pair in enumerate(parity.pairs) if name in pair.scores]
        if not rows:
            raise CorruptError(f"{source}: no pair of member {name}. Make the bundle again: snw-dist export")
        expected = np.array([parity.pairs[row].scores[name] for row in rows])
        apart = float(np.abs(found[rows] - expected).max(initial=0.0))
        if not apart <= TOLERANCE[arithmetic]:
            raise EnvironmentProblem(
                f"{source}: member {name} does not give its own scores here: the {len(rows)} pairs of parity.json are "
                f"up to {apart:.2g} away, and {TOLERANCE[arithmetic]:g} is allowed. This machine computes otherwise, "
                "or the encoder is not the one that the networks were trained with: do not use these scores."
            )
        largest = max(largest, apart)
    return largest
