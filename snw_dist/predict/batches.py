"""Pairs of embeddings as padded batches; each distinct sequence of a batch is read once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from hpc.machine.transfer import sent
from snw_dist.embedding.row_reader import RowReader
from snw_dist.model.buckets import MULTIPLE, ROWS, rounded_up
from snw_dist.model.pair import Side


class Target(NamedTuple):
    """What is known of each pair of a batch."""

    label: torch.Tensor
    """[num_pairs] float32 in [0, 1]."""
    ligand_id: torch.Tensor
    """[num_pairs] int64, equal for equal sequences; likewise `receptor_id`."""
    receptor_id: torch.Tensor
    """[num_pairs] int64."""
    weight: torch.Tensor
    """[num_pairs] float32: what the pair counts in the loss."""


class PairBatch(NamedTuple):
    """One batch on its device."""

    ligand: Side
    receptor: Side
    target: Target


@dataclass(frozen=True)
class IndexedPairs:
    """The pairs of one split: numbers of their sequences in the store, their labels, and what each counts.

    Columns, each [num_pairs].
    """

    ligand: NDArray[np.int64]
    receptor: NDArray[np.int64]
    label: NDArray[np.float32]
    positive: NDArray[np.bool_]
    weight: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.label)

    def take(self, rows: NDArray[np.int64]) -> IndexedPairs:
        """The pairs with the given numbers [n]."""
        return IndexedPairs(*(column[rows] for column in vars(self).values()))


def make_batch(
    table: IndexedPairs, pairs: NDArray[np.int64], reader: RowReader, max_length: int, device: torch.device
) -> PairBatch:
    """The pairs with the given numbers [n], padded to the longest sequence of each side; see `buckets`.

    The copy to a GPU is asynchronous, in the stream of the caller and from pinned memory.
    """
    ligand = _side(table.ligand[pairs], reader, max_length, device)
    receptor = _side(table.receptor[pairs], reader, max_length, device)
    columns = table.label[pairs], table.ligand[pairs], table.receptor[pairs], table.weight[pairs].astype(np.float32)
    return PairBatch(ligand, receptor, Target(*(sent(torch.from_numpy(column), device) for column in columns)))


def _side(indices: NDArray[np.int64], reader: RowReader, max_length: int, device: torch.device) -> Side:
    """The distinct sequences, short ones first; those longer than `max_length` are cropped to their middle.

    Before them come sequences of one empty row that belong to no pair, where their number is rounded up.
    """
    distinct, index = np.unique(indices, return_inverse=True)
    by_length = np.argsort(reader.lengths[distinct], kind="stable")
    distinct, index = distinct[by_length], np.argsort(by_length)[index]
    full = reader.lengths[distinct]
    lengths = np.minimum(full, max_length)
    shape = rounded_up(len(distinct), ROWS[device.type]), rounded_up(int(lengths[-1]), MULTIPLE[device.type])
    states, added = _room((*shape, reader.row_width), reader.dtype, device), shape[0] - len(distinct)
    states[:added, 0] = 0
    reader.read_batch(states[added:], distinct.tolist(), ((full - lengths) // 2).tolist(), lengths.tolist())
    lengths = np.concatenate([np.ones(added, dtype=np.int64), lengths])
    mask = torch.arange(states.shape[1]) < torch.from_numpy(lengths)[:, None]
    states, mask, pair_index = (sent(item, device) for item in (states, mask, torch.from_numpy(index + added)))
    return Side(states, mask, pair_index, tuple(lengths.tolist()))


def _room(shape: tuple[int, int, int], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Where the rows of a batch are read to; no network looks at the padding, and nobody writes it."""
    if device.type == "cuda":  # from where the device fetches it without another copy; torch keeps it for later ones
        return torch.empty(shape, dtype=dtype, pin_memory=True)
    zeros = np.zeros(math.prod(shape) * dtype.itemsize, dtype=np.uint8)  # the system's own pages, taken when touched
    return torch.from_numpy(zeros).view(dtype).view(shape)
