"""Distinct sequences for tests of splits and negatives."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from snw_dist.data.splits.clusters import Distinct

LETTERS = "ACDEFGHIKLMNPQRSTVWY"


def random_sequences(num: int, length: int, seed: int) -> list[str]:
    """Distinct random sequences."""
    rng = np.random.default_rng(seed)
    return list(dict.fromkeys("".join(rng.choice(list(LETTERS), length)) for _ in range(num)))


def distinct(sequences: list[str], cluster: NDArray[np.int64] | None = None) -> Distinct:
    """One id for each sequence; every sequence is a cluster, or those that are given."""
    side = Distinct(np.arange(len(sequences)), sequences, "identical", 1.0, 1.0)
    if cluster is not None:
        side.__dict__["cluster"] = cluster
    return side
