"""Score pairs with an exported network in one process: the one place that turns rows into scores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hpc.told import did
from snw_dist.arrays import IntArray
from snw_dist.embedding.row_reader import RowReader
from snw_dist.model.pair import PairModel
from snw_dist.predict.alike import Alike
from snw_dist.predict.batches import IndexedPairs, make_batch
from snw_dist.predict.one_thread import passes_side_by_side


@torch.inference_mode()
def score_pairs(
    model: nn.Module,
    table: IndexedPairs,
    reader: RowReader,
    max_length: int,
    batch_size: int,
    device: torch.device,
) -> NDArray[np.float64]:
    """[num_pairs] scores in [0, 1] of all pairs of a table, in its order; higher is closer.

    On a CPU a score depends on nothing but the network and the pair, bit for bit, see `alike`; on CUDA what is computed
    beside it may change its last digits. The pairs are taken in the order of their receptors, so that a batch has few
    distinct ones, and the sequences of `batch_size` pairs are in memory at once.
    """
    model = model.to(device)
    order = np.lexsort((table.ligand, table.receptor))
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    scores = np.empty(len(table), dtype=np.float64)
    for pairs, found in zip(batches, _scores(model, table, batches, reader, max_length, device), strict=True):
        scores[pairs] = found.double().cpu().numpy()
        did("pairs", len(pairs))
    return scores


def _scores(
    model: nn.Module,
    table: IndexedPairs,
    batches: list[IntArray],
    reader: RowReader,
    max_length: int,
    device: torch.device,
) -> Iterator[torch.Tensor]:
    """[pairs] of each batch."""
    if device.type == "cpu":
        with passes_side_by_side() as each:
            alike = Alike(model, reader, max_length, each)
            for pairs in batches:
                yield alike.scores(table.ligand[pairs], table.receptor[pairs])
        return
    for pairs in batches:
        batch = make_batch(table, pairs, reader, max_length, device)
        yield model(batch.ligand, batch.receptor).score


@torch.inference_mode()
def vectors_of(
    model: nn.Module,
    side: Literal["ligand", "receptor"],
    reader: RowReader,
    max_length: int,
    device: torch.device,
    numbers: IntArray | None = None,
) -> torch.Tensor:
    """[sequences, size] float32 on the CPU: where a network of two towers puts sequences of the reader on a side.

    numbers: [sequences], which of them; None: each one. Their rows are in memory together. The score of two such
    vectors is that of `score_pairs`; on a CPU with the same bits, as each vector has them.
    """
    network = cast(PairModel, model.to(device))
    make = network.ligands if side == "ligand" else network.receptors
    numbers = np.arange(len(reader.lengths)) if numbers is None else numbers
    if device.type == "cpu":
        with passes_side_by_side() as each:
            found = Alike(model, reader, max_length, each).parts(make, numbers)
        return torch.stack([found[number][0] for number in numbers.tolist()])
    nothing = np.zeros(len(numbers))
    table = IndexedPairs(numbers, numbers, nothing.astype(np.float32), nothing.astype(bool), nothing)
    batch = make_batch(table, numbers, reader, max_length, device)
    of_side = batch.ligand if side == "ligand" else batch.receptor
    return make(of_side)[0][of_side.pair_index].float().cpu()
