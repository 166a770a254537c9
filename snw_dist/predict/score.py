"""Score pairs with an exported network in one process."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from snw_dist.embedding.row_reader import RowReader
from snw_dist.predict.batches import IndexedPairs, make_batch


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

    The pairs are taken in the order of their receptors, so that a batch has few distinct ones.
    """
    model = model.to(device)
    order = np.lexsort((table.ligand, table.receptor))
    scores = np.empty(len(table), dtype=np.float64)
    for start in range(0, len(order), batch_size):
        pairs = order[start : start + batch_size]
        batch = make_batch(table, pairs, reader, max_length, device)
        scores[pairs] = model(batch.ligand, batch.receptor).score.double().cpu().numpy()
    return scores
