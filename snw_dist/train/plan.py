"""Which pairs are in which step, and the learning rate of it: pure functions of seed and step.

The order does not know the number of ranks, so the position of a run is one integer, the step.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class TrainPlan:
    """Steps of a run over `num_pairs` training pairs; the last step of an epoch takes what is left."""

    num_pairs: int
    global_batch_size: int
    epochs: int
    max_steps: int | None
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in which each pair occurs exactly once."""
        return -(-self.num_pairs // self.global_batch_size)

    @property
    def num_steps(self) -> int:
        """Optimiser steps of the whole run."""
        steps = self.epochs * self.steps_per_epoch
        return steps if self.max_steps is None else min(steps, self.max_steps)

    def pairs_of_step(self, step: int) -> NDArray[np.int64]:
        """Numbers of the pairs of optimiser step `step` (from 0): [at most global_batch_size]."""
        epoch, position = divmod(step, self.steps_per_epoch)
        order = _epoch_order(self.seed, epoch, self.num_pairs)
        start = position * self.global_batch_size
        return order[start : start + self.global_batch_size]


@functools.lru_cache(maxsize=2)
def _epoch_order(seed: int, epoch: int, num_pairs: int) -> NDArray[np.int64]:
    """Kept for the epoch: shuffling millions of pairs anew for every step would cost more than the step."""
    order = np.random.default_rng([seed, epoch]).permutation(num_pairs)
    order.flags.writeable = False
    return order


def accumulation_steps(global_batch_size: int, micro_batch_size: int, world_size: int) -> int:
    """Forward passes a rank makes for one optimiser step."""
    return -(-global_batch_size // (micro_batch_size * world_size))


def rank_share(
    pairs: NDArray[np.int64], importance: NDArray[np.float64], rank: int, world_size: int, num_micro: int
) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """This rank's micro-batches of a step, with the weight of each pair in the weighted mean over the step.

    `importance`: [len(pairs)], what each pair counts, at least 0. The engine averages over ranks and micro-batches, so
    with the weight `world_size * num_micro * importance / sum(importance)` the gradient is that of the weighted mean
    over all pairs, however unevenly they fall. A rank without a pair left gets the first one with weight 0, because
    all ranks must take part.
    """
    total = importance.sum()
    weight = (importance * (world_size * num_micro / total if total > 0 else 0.0)).astype(np.float32)
    parts = np.array_split(np.arange(len(pairs)), world_size * num_micro)
    own = [parts[micro * world_size + rank] for micro in range(num_micro)]
    return [(pairs[part], weight[part]) if len(part) else (pairs[:1], np.zeros(1, np.float32)) for part in own]


def largest_share(num_pairs: int, world_size: int, num_micro: int) -> int:
    """The most pairs that a rank has in a micro-batch of `rank_share`."""
    return -(-num_pairs // (world_size * num_micro))


def learning_rate(step: int, num_steps: int, peak: float, warmup_steps: int, min_ratio: float) -> float:
    """Linear warm-up, then a cosine from `peak` down to `peak * min_ratio` at the last step."""
    warmup_steps = min(warmup_steps, num_steps // 2)
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(1, num_steps - 1 - warmup_steps)
    return peak * (min_ratio + (1.0 - min_ratio) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress))))
