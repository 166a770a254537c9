"""Rows of whole sequences, by the numbers that the sequences have in a store: all that a network's input needs.

`store.reader.StoreReader` has them from a store. Others serve something else under the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch

from snw_dist.arrays import IntArray


class RowReader(Protocol):
    """Serves one row for each residue of the sequences 0, 1, ... `len(lengths) - 1`."""

    @property
    def lengths(self) -> IntArray:
        """[sequences] residues of each."""

    @property
    def dtype(self) -> torch.dtype:
        """Type of the rows."""

    @property
    def row_width(self) -> int:
        """Values in a row."""

    def read_batch(
        self, out: torch.Tensor, indices: Sequence[int], starts: Sequence[int], counts: Sequence[int]
    ) -> None:
        """Fill `out[i, :counts[i]]` from row `starts[i]` of sequence `indices[i]`; the same rows at every reading.

        out: [sequences, longest, row_width], contiguous and of the reader's dtype; other rows stay as they are. There
        is at least one sequence, and `starts[i] + counts[i]` is at most its length. Raises `LookupError` for a number
        beyond the last.
        """


def read_rows(reader: RowReader, index: int, start: int = 0, stop: int | None = None) -> torch.Tensor:
    """Rows [start, stop) of one sequence: [residues, row_width] in the reader's dtype, a fresh tensor."""
    length = int(reader.lengths[index])
    stop = length if stop is None else min(stop, length)
    out = torch.empty(1, stop - start, reader.row_width, dtype=reader.dtype)
    reader.read_batch(out, [index], [start], [stop - start])
    return out[0]
