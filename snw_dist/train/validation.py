"""Scoring the validation split by all ranks, with a boundary at every pass, where a stop is honoured."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from hpc.ranks.communicator import Communicator
from hpc.ranks.gather import gather_arrays
from snw_dist.arrays import FloatArray
from snw_dist.embedding.row_reader import RowReader
from snw_dist.metrics.metrics import classification_metrics
from snw_dist.predict.batches import IndexedPairs, make_batch
from snw_dist.train.engine import Engine
from snw_dist.train.finite import NotFiniteError
from snw_dist.train.objective import Objective
from snw_dist.train.verdict import bad_weights


class Validation(NamedTuple):
    """What the network is worth on a split."""

    loss: float
    """Mean over the pairs by their weight; finite."""
    auroc: float
    """NaN where the split has pairs of one kind only."""
    scores: FloatArray
    """[num_pairs]"""


def validate(
    engine: Engine,
    objective: Objective,
    table: IndexedPairs,
    reader: RowReader,
    comm: Communicator,
    *,
    batch_size: int,
    max_length: int,
    device: torch.device,
    boundary: Callable[[], None],
) -> Validation:
    """Collective: loss and AUROC over a split, equal on all ranks, and for any number of them.

    The ranks take batches in turn. A batch is the same however many ranks there are, because a loss that compares
    the pairs of a batch depends on which they are.

    `boundary` is called by all ranks before every pass, and may end the validation with an exception. Raises
    `NotFiniteError` on all ranks when a score or a loss is not finite: no choice of the best weights could be made.
    """
    num_turns = -(-len(table) // (batch_size * comm.world_size))
    own = np.zeros((2, num_turns, batch_size))
    engine.train(False)
    try:
        with torch.no_grad():
            for turn in range(num_turns):  # all ranks make as many passes: ZeRO-3 gathers in each
                boundary()
                start = (turn * comm.world_size + comm.rank) * batch_size
                pairs = np.arange(min(start, len(table) - 1), min(start + batch_size, len(table)))
                batch = make_batch(table, pairs, reader, max_length, device)
                output = engine(batch.ligand, batch.receptor)
                both = torch.stack([output.score, objective.losses(output, batch.target)])
                own[:, turn, : both.shape[1]] = both.double().cpu().numpy()
    finally:
        engine.train(True)
    whole = np.stack([part for [part] in gather_arrays(comm, [own])], axis=2).reshape(2, -1)[:, : len(table)]
    scores, losses = whole
    num_bad = int(np.count_nonzero(~(np.isfinite(scores) & np.isfinite(losses))))
    if num_bad:
        raise NotFiniteError(
            f"scores or losses of {num_bad} of {len(table)} validation pairs are not finite{bad_weights(engine)}; all "
            "ranks stop. The last checkpoint is untouched. Lower train.learning_rate, or check labels and embeddings."
        )
    auroc = classification_metrics(table.positive, scores, 0.5)["auroc"]
    return Validation(float(np.average(losses, weights=table.weight)), auroc, scores)
