"""Residues as tokens of ESM C in place of stored rows, for a network that has the encoder in its graph."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch

from snw_dist.data.prepared import Prepared
from snw_dist.embedding.esmc.packed import tokenize
from snw_dist.embedding.store.reader import StoreReader


class TokenReader(StoreReader):
    """Numbers sequences as the store does, and serves for each residue its token: rows of one int64."""

    def __init__(self, reader: StoreReader, prepared: Prepared) -> None:
        super().__init__(reader.path)
        self.header = dataclasses.replace(reader.header, d_model=1)
        sequences = {*prepared.ligands.values(), *prepared.receptors.values()}
        self._tokens = {self.index(sequence): tokenize([sequence])[0][1:-1] for sequence in sequences}

    @property
    def dtype(self) -> torch.dtype:
        """Type of the rows."""
        return torch.int64

    def read_batch(
        self, out: torch.Tensor, indices: Sequence[int], starts: Sequence[int], counts: Sequence[int]
    ) -> None:
        """Fill `out[i, :counts[i], 0]` with tokens from `starts[i]` of sequence `indices[i]`."""
        for row, (index, start, count) in enumerate(zip(indices, starts, counts, strict=True)):
            out[row, :count, 0] = self._tokens[int(index)][start : start + count]
