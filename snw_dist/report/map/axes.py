"""The two axes of a map: the directions in which vectors differ most (PCA, Pearson 1901).

They are found by the training sequences alone, and every other sequence is placed by them. So what is new does not
choose where it is drawn, and later sequences get a place on the same map.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from sklearn.decomposition import PCA

from snw_dist.arrays import FloatArray

FEWEST = 3
"""Vectors that a map is made of: two points always lie on a line."""


@dataclasses.dataclass(frozen=True)
class Axes:
    """Where a vector is drawn."""

    mean: FloatArray
    """[size]"""
    directions: FloatArray
    """[2, size] unit vectors."""
    shares: tuple[float, float]
    """Of each axis, how much of the variance of the training vectors it shows."""

    def place(self, vectors: FloatArray) -> FloatArray:
        """[n, size] -> [n, 2]."""
        return np.asarray((np.asarray(vectors, np.float64) - self.mean) @ self.directions.T)

    def titles(self) -> tuple[str, str]:
        """Of both axes, with what they show."""
        first, second = (f"axis {at} ({share:.0%} of the variance)" for at, share in enumerate(self.shares, 1))
        return first, second


def axes_of(training: FloatArray) -> Axes | None:
    """The axes of the vectors [n, size] of training sequences; None where these are too few, or all the same."""
    vectors = np.asarray(training, np.float64)
    if len(vectors) < FEWEST or vectors.shape[1] < 2 or not np.ptp(vectors, axis=0).any():
        return None
    found = PCA(n_components=2, svd_solver="covariance_eigh").fit(vectors)
    first, second = (float(share) for share in found.explained_variance_ratio_)
    return Axes(found.mean_, found.components_, (first, second))
