"""What a checkpoint of training must agree with before it is taken up, and the position it holds."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hpc.errors import EnvironmentProblem, InputError
from snw_dist.config import SnwConfig
from snw_dist.train.objective import IN_BATCH, loss_of
from snw_dist.train.share import accumulation_steps

_MAY_CHANGE = (
    *("device", "zero_stage", "micro_batch_size", "patience"),
    *("save_every", "keep_last", "keep_every", "allow_precision_change", "allow_changes"),
)
PRECISION = "train.precision"
PARTS = "micro-batches of a step"
PAIRS, STORE = "training pairs", "embedding store"
_PAIRS_BEFORE = "input "  # what older versions wrote in place of `PAIRS`: digests of the input files


@dataclass
class Progress:
    """Where training stands; equal on all ranks, stored in the manifest of every checkpoint."""

    step: int = 0
    """Optimiser steps done: with the plan it names every pair seen, whatever the number of ranks."""
    best_value: float | None = None
    best_step: int | None = None
    worse_in_a_row: int = 0
    unvalidated: bool = False
    """The validation that is due at this step is still to be made: a stop came in between."""
    skipped: int = 0
    """Steps that fp16 has skipped; they count as steps."""
    skipped_in_a_row: int = 0

    def record(self, value: float) -> bool:
        """Take note of a validation (higher is better); true when it is the best so far, which NaN never is."""
        self.unvalidated = False
        if math.isnan(value) or (self.best_value is not None and value <= self.best_value):
            self.worse_in_a_row += 1
            return False
        self.best_value, self.best_step, self.worse_in_a_row = value, self.step, 0
        return True


def trajectory(config: SnwConfig, data_digest: str, store_digest: str, world_size: int) -> dict[str, Any]:
    """Everything that decides the weights of a run, as flat plain data: a resumed run must have the same.

    Of the data that is what training sees of them, see `snw_dist.data.trained`.

    The number of ranks and the size of a micro-batch do not: the mean over a step is the same. Only a loss that
    compares the pairs of a micro-batch depends on how many of them make up a step.
    """
    train = {k: v for k, v in dataclasses.asdict(config.train).items() if k not in _MAY_CHANGE}
    model = dataclasses.asdict(config.model)
    facts = {f"train.{k}": v for k, v in train.items()} | {f"model.{k}": v for k, v in model.items()}
    facts |= {"run.seed": config.run.seed, PAIRS: data_digest, STORE: store_digest}
    if loss_of(config.model.name, config.train.loss) in IN_BATCH:
        facts[PARTS] = accumulation_steps(config.train.global_batch_size, config.train.micro_batch_size, world_size)
    return facts


def check_resumable(
    saved: Mapping[str, Any],
    present: Mapping[str, Any],
    allow_precision_change: bool,
    allow_changes: bool,
    micro_batch_size: int,
    other_pairs: Callable[[], str],
) -> list[str]:
    """Refuse to continue another run; returns the differences that were allowed, for the log of the run.

    `other_pairs()` says in words how the training pairs differ; it is asked only when they do. Raises `InputError`
    with all that is refused, or `EnvironmentProblem` where another number of ranks would do.
    """
    differing = [
        key
        for key in dict.fromkeys([*present, *saved])
        if saved.get(key) != present.get(key) and not key.startswith(_PAIRS_BEFORE)
    ]
    texts = {
        key: f"{key}: {other_pairs()}" if key == PAIRS else f"{key}: {saved.get(key)!r} then, {present.get(key)!r} now"
        for key in differing
    }
    refused = {
        key: text for key, text in texts.items() if not (allow_precision_change if key == PRECISION else allow_changes)
    }
    if not refused:
        return list(texts.values())
    differences = "; ".join(refused.values())
    if set(refused) == {PARTS}:
        ranks = valid_ranks(present["train.global_batch_size"], micro_batch_size, saved[PARTS])
        raise EnvironmentProblem(
            f"this loss compares the pairs of a micro-batch with each other ({differences}). With this "
            f"train.micro_batch_size start {ranks}, or change it."
        )
    flag = "--allow-precision-change" if set(refused) == {PRECISION} else "--allow-changes"
    raise InputError(
        f"the run folder holds checkpoints of another run ({differences}). Give a new run.name, or the old values to "
        f"continue. {flag} continues with the new ones, and says so in the log of the run."
    )


def valid_ranks(global_batch_size: int, micro_batch_size: int, num_micro: int) -> str:
    """Numbers of ranks with which a step has `num_micro` micro-batches, in words."""
    fewest = -(-global_batch_size // (micro_batch_size * num_micro))
    if num_micro == 1:
        return f"{fewest} ranks or more"
    most = -(-global_batch_size // (micro_batch_size * (num_micro - 1))) - 1
    return f"{fewest} to {most} ranks" if fewest <= most else "no number of ranks fits"
