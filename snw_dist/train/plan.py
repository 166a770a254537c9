"""Which pairs are in which step, and the learning rate of it: pure functions of seed and step.

The order does not know the number of ranks, so the position of a run is one integer, the step. How the ranks share a
step is in `snw_dist.train.balance`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class TrainPlan:
    """Steps of a run over the training pairs.

    All steps of an epoch have the same number of pairs, or one more. If the last one took what is left, two pairs of
    258 could be a whole step of the optimiser, and their loss a point of the curve like any other.
    """

    receptor: NDArray[np.int64]
    """[num_pairs] the receptor of each training pair, equal for equal sequences."""
    global_batch_size: int
    epochs: int
    max_steps: int | None
    seed: int
    pairs_per_receptor: int
    """See `epoch_order`."""
    _orders: dict[int, NDArray[np.int64]] = field(default_factory=dict, init=False, repr=False)

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in which each pair occurs exactly once."""
        return number_of_steps(len(self.receptor), self.global_batch_size, 1, None)

    @property
    def num_steps(self) -> int:
        """Optimiser steps of the whole run."""
        return number_of_steps(len(self.receptor), self.global_batch_size, self.epochs, self.max_steps)

    def pairs_of_step(self, step: int) -> NDArray[np.int64]:
        """Numbers of the pairs of optimiser step `step` (from 0): [at most global_batch_size]."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch not in self._orders:  # kept for the epoch: shuffling millions of pairs costs more than a step
            self._orders.clear()
            self._orders[epoch] = epoch_order(self.receptor, self.pairs_per_receptor, self.seed, epoch)
        start, end = (len(self.receptor) * part // self.steps_per_epoch for part in (position, position + 1))
        return self._orders[epoch][start:end]


def number_of_steps(num_pairs: int, global_batch_size: int, epochs: int, max_steps: int | None) -> int:
    """Optimiser steps of a run: in an epoch as few as hold all pairs, `max_steps` at most."""
    steps = epochs * -(-num_pairs // global_batch_size)
    return steps if max_steps is None else min(steps, max_steps)


def epoch_order(receptor: NDArray[np.int64], pairs_per_receptor: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Every pair once, [num_pairs]: random runs of at most `pairs_per_receptor` pairs of one receptor, in random order.

    A run shares the pass of its receptor through the network. With 1, or where no receptor comes twice, it is a plain
    permutation.
    """
    draw = np.random.default_rng([seed, epoch])
    shuffled = draw.permutation(len(receptor))
    by_receptor = shuffled[np.argsort(receptor[shuffled], kind="stable")]
    own = receptor[by_receptor]
    place = np.arange(len(own)) - np.searchsorted(own, own)  # of a pair among those of its receptor
    run = np.cumsum(place % pairs_per_receptor == 0) - 1
    turn = draw.permutation(len(own))[run]
    return by_receptor[np.argsort(turn, kind="stable")]


def learning_rate(step: int, num_steps: int, peak: float, warmup_steps: int, min_ratio: float) -> float:
    """Linear warm-up, then a cosine from `peak` down to `peak * min_ratio` at the last step."""
    warmup_steps = min(warmup_steps, num_steps // 2)
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(1, num_steps - 1 - warmup_steps)
    return peak * (min_ratio + (1.0 - min_ratio) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress))))
