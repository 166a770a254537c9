"""Where the sequences of a run lie: by the encoder, and by its network where that makes a vector of each sequence."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from hpc.ranks.process_group import choose_device
from hpc.told import long_work
from snw_dist.arrays import BoolArray, FloatArray
from snw_dist.config import SnwConfig
from snw_dist.evaluate.measure.held_out import TRAIN
from snw_dist.evaluate.run import Opened
from snw_dist.predict.score import vectors_of
from snw_dist.report.map.axes import axes_of
from snw_dist.report.map.neighbours import TITLES, neighbour_places
from snw_dist.report.map.sequences import Side, sampled, sequences_of

MOST: dict[Side, int] = {"ligand": 900, "receptor": 300}
"""Sequences of a map: each is in several figures, and a page shall be small."""
TWO_TOWERS = ("siamese", "pseudo_siamese", "triplet")
"""Networks that make a vector of each sequence."""
_AT_ONCE = 256


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
    titles: tuple[str, str]
    """Of both axes."""


def known_of(pairs: pd.DataFrame, symmetric: bool, seed: int) -> list[Known]:
    """Both sides, or the one of all proteins where the sides mean nothing; pairs: as for `sequences_of`."""
    sides: list[tuple[Side, ...]] = [("ligand", "receptor")] if symmetric else [("ligand",), ("receptor",)]
    known = []
    for side in sides:
        table = sequences_of(pairs, side)
        most = sum(MOST[one] for one in side)
        known.append(Known(side[0], table.iloc[sampled(table["split"], most, seed)], len(table)))
    return known


def encoder_vectors(opened: Opened, known: list[Known]) -> list[FloatArray]:
    """Of each side the mean of the stored rows of each sequence, [sequences, row_width]."""
    vectors = []
    for one in known:
        with long_work(f"mean embeddings of {len(one.table):,} {one.side}s"):
            pooled = opened.store.pooled(opened.store.indices(one.table["sequence"]))
        vectors.append(np.asarray(pooled, np.float64))
    return vectors


def network_vectors(opened: Opened, known: list[Known], config: SnwConfig) -> list[FloatArray] | None:
    """Of each side the vectors whose distance is the score, [sequences, size]; None of a network that has none."""
    described = opened.description["model"]
    if described["name"] not in TWO_TOWERS:
        return None
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
    return vectors


def by_axes(known: list[Known], vectors: list[FloatArray]) -> list[Placed]:
    """These sides on the axes of their training sequences; none where these are too few, or all the same.

    vectors: [sequences, size] of each side.
    """
    axes = axes_of(np.concatenate([own[training_of(one)] for one, own in zip(known, vectors, strict=True)]))
    if axes is None:
        return []
    return [Placed(one, axes.place(own), axes.titles()) for one, own in zip(known, vectors, strict=True)]


def by_neighbours(known: list[Known], vectors: list[FloatArray], seed: int) -> list[Placed]:
    """These sides on one map of UMAP; none where there are too few training sequences.

    vectors: [sequences, size] of each side.
    """
    training = np.concatenate([training_of(one) for one in known])
    with long_work("UMAP"):
        places = neighbour_places(np.concatenate(vectors), training, seed)
    if places is None:
        return []
    cuts = np.cumsum([len(own) for own in vectors])[:-1]
    return [Placed(one, at, TITLES) for one, at in zip(known, np.split(places, cuts), strict=True)]


def training_of(known: Known) -> BoolArray:
    """[sequences]: which of them are of the training."""
    return np.asarray(known.table["split"] == TRAIN, dtype=np.bool_)
