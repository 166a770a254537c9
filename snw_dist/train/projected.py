"""The pooled vectors of some validation sequences, for a map of them that one can turn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snw_dist.arrays import IntArray
from snw_dist.embedding.store.reader import StoreReader
from snw_dist.predict.batches import IndexedPairs
from snw_dist.train.inputs import Inputs

MOST_OF_A_SIDE = 500


@dataclass(frozen=True)
class Projected:
    """Vectors with what is known of each."""

    vectors: NDArray[np.float32]
    """[n, row_width]: the mean of the stored rows of each sequence."""
    columns: tuple[str, ...]
    rows: list[list[str]]
    """[n] of as many texts as there are columns."""


def projected(inputs: Inputs) -> Projected | None:
    """Ligands and receptors of `val`, at most 500 of each, evenly taken; None where the encoder is trained too.

    The store then has vectors of another encoder than the network.
    """
    store = inputs.reader
    if not isinstance(store, StoreReader):
        return None
    vectors, rows = [], []
    for side in ("ligand", "receptor"):
        chosen = _spread(np.unique(getattr(inputs.val, side)))
        known = np.isin(chosen, getattr(inputs.train, side))
        shares = _shares(inputs.val, side, chosen)
        vectors.append(store.pooled(chosen))
        rows += [
            [side, str(store.lengths[number]), "yes" if seen else "no", f"{share:.2f}"]
            for number, seen, share in zip(chosen, known, shares, strict=True)
        ]
    return Projected(np.concatenate(vectors), ("side", "residues", "in_train", "share_of_positives"), rows)


def _spread(numbers: IntArray) -> IntArray:
    """[n] -> at most `MOST_OF_A_SIDE` of them."""
    return numbers[:: -(-len(numbers) // MOST_OF_A_SIDE) or 1]


def _shares(pairs: IndexedPairs, side: str, chosen: IntArray) -> NDArray[np.float64]:
    """[chosen]: the share of positives among the pairs of each sequence."""
    numbers, own = getattr(pairs, side), np.searchsorted(chosen, getattr(pairs, side))
    there = chosen[np.minimum(own, len(chosen) - 1)] == numbers
    count = np.bincount(own[there], minlength=len(chosen))
    shares: NDArray[np.float64] = np.bincount(own[there], pairs.positive[there], len(chosen)) / np.maximum(count, 1)
    return shares
