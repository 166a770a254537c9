"""Where the sequences of a run lie: by the encoder, and by its network where that makes a vector of each sequence."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import pandas as pd

from hpc.ranks.process_group import choose_device
from hpc.told import long_work
from snw_dist.arrays import FloatArray
from snw_dist.config import SnwConfig
from snw_dist.evaluate.measure.held_out import TRAIN
from snw_dist.evaluate.run import Opened
from snw_dist.predict.score import vectors_of
from snw_dist.report.map.axes import Axes, axes_of
from snw_dist.report.map.sequences import Side, sampled, sequences_of

MOST: dict[Side, int] = {"ligand": 900, "receptor": 300}
"""Sequences of a map: each is in several figures, and a page shall be small."""
TWO_TOWERS = ("siamese", "pseudo_siamese", "triplet")
"""Networks that make a vector of each sequence."""
_AT_ONCE = 256
Space = Literal["network", "encoder"]


@dataclasses.dataclass(frozen=True)
class Known:
    """The sequences of one side."""

    side: Side
    table: pd.DataFrame
    """See `sequences_of`; those of the sample alone."""
    total: int
    """Before the sample was drawn."""


@dataclasses.dataclass(frozen=True)
class Placed:
    """One side on a map."""

    known: Known
    at: FloatArray
    """[sequences, 2]"""
    axes: Axes


def known_of(pairs: pd.DataFrame, symmetric: bool, seed: int) -> list[Known]:
    """Both sides, or the one of all proteins where the sides mean nothing; pairs: as for `sequences_of`."""
    sides: list[tuple[Side, ...]] = [("ligand", "receptor")] if symmetric else [("ligand",), ("receptor",)]
    known = []
    for side in sides:
        table = sequences_of(pairs, side)
        most = sum(MOST[one] for one in side)
        known.append(Known(side[0], table.iloc[sampled(table["split"], most, seed)], len(table)))
    return known


def by_encoder(opened: Opened, known: list[Known]) -> list[Placed]:
    """Each side by axes of its own: the mean of the stored rows of each sequence. Sides too small for axes are left."""
    placed = []
    for one in known:
        with long_work(f"mean embeddings of {len(one.table):,} {one.side}s"):
            vectors = opened.store.pooled(opened.store.indices(one.table["sequence"]))
        placed += _placed([one], [np.asarray(vectors, np.float64)])
    return placed


def by_network(opened: Opened, known: list[Known], config: SnwConfig) -> list[Placed]:
    """Both sides on one map, by the vectors whose distance is the score; none of a network that has no such vectors."""
    described = opened.description["model"]
    if described["name"] not in TWO_TOWERS:
        return []
    device, most = choose_device(config.train.device, 0), int(described["max_length"])
    vectors = []
    for one in known:
        numbers = opened.store.indices(one.table["sequence"])
        with long_work(f"vectors of {len(numbers):,} {one.side}s"):
            pieces = [
                vectors_of(opened.model, one.side, opened.reader, most, device, numbers[at : at + _AT_ONCE])
                for at in range(0, len(numbers), _AT_ONCE)
            ]
        vectors.append(np.concatenate([piece.double().numpy() for piece in pieces]))
    return _placed(known, vectors)


SPACES: Mapping[Space, Callable[[Opened, list[Known], SnwConfig], list[Placed]]] = {
    "network": by_network,
    "encoder": lambda opened, known, _: by_encoder(opened, known),
}


def _placed(known: list[Known], vectors: list[FloatArray]) -> list[Placed]:
    """On the axes of the training sequences of all of them."""
    training = [own[(one.table["split"] == TRAIN).to_numpy()] for one, own in zip(known, vectors, strict=True)]
    axes = axes_of(np.concatenate(training))
    if axes is None:
        return []
    return [Placed(one, axes.place(own), axes) for one, own in zip(known, vectors, strict=True)]
