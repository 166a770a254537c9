"""Noise in place of a store's embeddings: what a network still scores right then, it has from lengths alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from snw_dist.arrays import IntArray
from snw_dist.embedding.row_reader import RowReader, read_rows

_MEASURED = 500


class NoiseReader:
    """A `RowReader` that serves, for each sequence of `reader`, normal noise of its length.

    Each channel has the mean and the standard deviation that it has in the rows of `sequences`, numbers in `reader`
    [n] (of at most 500 of them). The noise depends on `seed` and the number of the sequence alone.
    """

    def __init__(self, reader: RowReader, sequences: IntArray, seed: int) -> None:
        self.lengths, self.dtype, self.row_width = reader.lengths, reader.dtype, reader.row_width
        chosen = np.unique(sequences)
        chosen = chosen[np.unique(np.linspace(0, chosen.size - 1, _MEASURED, dtype=np.int64))]
        rows = torch.cat([read_rows(reader, int(index)) for index in chosen]).double()
        self._mean, self._scale = rows.mean(dim=0).numpy(), rows.std(dim=0, correction=0).numpy()
        self._seed = seed

    def read_batch(
        self, out: torch.Tensor, indices: Sequence[int], starts: Sequence[int], counts: Sequence[int]
    ) -> None:
        """Fill `out[i, :counts[i]]` with rows from `starts[i]` of the noise of sequence `indices[i]`.

        out: [sequences, longest, row_width].
        """
        for row, (index, start, count) in enumerate(zip(indices, starts, counts, strict=True)):
            rng = np.random.default_rng([self._seed, int(index)])
            shape = int(self.lengths[index]), self.row_width
            noise = self._mean + self._scale * rng.standard_normal(shape)
            out[row, :count].copy_(torch.from_numpy(noise[start : start + count]))
