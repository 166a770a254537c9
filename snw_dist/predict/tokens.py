"""Residues as tokens of ESM C in place of stored rows, for a network that has the encoder in its graph."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from snw_dist.arrays import IntArray
from snw_dist.data.prepared import Prepared
from snw_dist.embedding.esmc.packed import tokenize
from snw_dist.embedding.store.reader import StoreReader


class TokenReader:
    """A `RowReader` that serves for each residue of the prepared sequences its token: rows of one int64."""

    dtype = torch.int64
    row_width = 1

    def __init__(self, store: StoreReader, prepared: Prepared) -> None:
        self.lengths: IntArray = store.lengths
        """[sequences] of the whole store; the numbers are its own."""
        sequences = {*prepared.ligands.values(), *prepared.receptors.values()}
        self._tokens = {store.index(sequence): tokenize([sequence])[0][1:-1] for sequence in sequences}

    def read_batch(
        self, out: torch.Tensor, indices: Sequence[int], starts: Sequence[int], counts: Sequence[int]
    ) -> None:
        """Fill `out[i, :counts[i], 0]` with tokens from `starts[i]` of sequence `indices[i]`.

        out: [sequences, longest, 1] int64.
        """
        for row, (index, start, count) in enumerate(zip(indices, starts, counts, strict=True)):
            out[row, :count, 0] = self._tokens[int(index)][start : start + count]
