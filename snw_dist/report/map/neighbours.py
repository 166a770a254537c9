"""Places by UMAP (McInnes, Healy & Melville 2018): what is near in all dimensions stays near.

It takes the extra `umap`. As with the axes, training sequences alone make the map, and all others are placed on it.
"""

from __future__ import annotations

import warnings

import numpy as np

from snw_dist.arrays import BoolArray, FloatArray

FEWEST = 20
"""Training vectors that such a map is made of."""
_NEIGHBOURS = 15
TITLES = ("no unit", "no unit")


def neighbour_places(vectors: FloatArray, training: BoolArray, seed: int) -> FloatArray | None:
    """[n, size] -> [n, 2]; training: [n], which of them make the map. None where these are too few.

    The same for the same vectors and seed, on one machine.
    """
    if training.sum() < FEWEST:
        return None
    with warnings.catch_warnings():  # what it says of packages that it could use, and of points without neighbours
        warnings.simplefilter("ignore")
        from umap import UMAP

        made = UMAP(n_neighbors=_NEIGHBOURS, random_state=seed, n_jobs=1).fit(vectors[training])
        places = np.empty((len(vectors), 2), dtype=np.float64)
        places[training] = made.embedding_
        if not training.all():
            places[~training] = made.transform(vectors[~training])
    return places
