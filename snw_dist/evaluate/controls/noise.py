"""Noise in place of a store's embeddings: what a network still scores right then, it has from lengths alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from snw_dist.arrays import IntArray
from snw_dist.embedding.store.reader import StoreReader

_MEASURED = 500


class NoiseReader(StoreReader):
    """Serves, for each sequence of a store, normal noise of its length that is the same at every reading.

    Each channel has the mean and the standard deviation that it has in the rows of `sequences`, numbers of the store
    (of at most 500 of them). The noise depends on `seed` and the number of the sequence alone.
    """

    def __init__(self, reader: StoreReader, sequences: IntArray, seed: int) -> None:
        super().__init__(reader.path)
        chosen = np.unique(sequences)
        chosen = chosen[np.unique(np.linspace(0, chosen.size - 1, _MEASURED, dtype=np.int64))]
        rows = torch.cat([reader.read(int(index)) for index in chosen]).double()
        self._mean, self._scale = rows.mean(dim=0).numpy(), rows.std(dim=0, correction=0).numpy()
        self._seed = seed

    def read_batch(
        self, out: torch.Tensor, indices: Sequence[int], starts: Sequence[int], counts: Sequence[int]
    ) -> None:
        """Fill `out[i, :counts[i]]` with rows from `starts[i]` of the noise of sequence `indices[i]`."""
        for row, (index, start, count) in enumerate(zip(indices, starts, counts, strict=True)):
            rng = np.random.default_rng([self._seed, int(index)])
            shape = int(self.lengths[index]), self.header.d_model
            noise = self._mean + self._scale * rng.standard_normal(shape)
            out[row, :count].copy_(torch.from_numpy(noise[start : start + count]))
