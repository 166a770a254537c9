"""What a checkpoint of training must agree with before it is taken up, and the position it holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hpc.errors import EnvironmentProblem, InputError
from snw_dist.config import SnwConfig, TrainSection, config_to_dict
from snw_dist.train.balance import accumulation_steps
from snw_dist.train.changes import DIVISION, PAIRS, PARTS, STORE, Change, change_of, differing
from snw_dist.train.objective import IN_BATCH, loss_of

PRECISION_FLAG, CHANGES_FLAG, NO_FLAG = "--allow-precision-change", "--allow-changes", "no option"
EVEN = "equal"
"""The value of `DIVISION`. An older version had a last step of what was left, and its checkpoints do not say so."""
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

    def begin_anew(self) -> None:
        """Forget the best, and have this step validated: it is measured in another way from here on."""
        self.best_value, self.best_step, self.worse_in_a_row, self.unvalidated = None, None, 0, True


def trajectory(config: SnwConfig, data_digest: str, store_digest: str, world_size: int) -> dict[str, Any]:
    """Everything that decides the weights of a run, as flat plain data: a resumed run must have the same.

    Of the data that is what training sees of them, see `snw_dist.data.trained`.

    The number of ranks and the size of a micro-batch do not: the mean over a step is the same. Only a loss that
    compares the pairs of a micro-batch depends on how many of them make up a step.
    """
    plain, asked = config_to_dict(config), (Change.FREE, Change.BY_CONTENT)
    settings = [
        (f"{section}.{name}", value) for section in ("train", "model", "run") for name, value in plain[section].items()
    ]
    facts: dict[str, Any] = {key: value for key, value in settings if change_of(key) not in asked}
    facts |= {DIVISION: EVEN, PAIRS: data_digest, STORE: store_digest}
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
    texts = {
        key: f"{key}: {other_pairs() if key == PAIRS else _then_and_now(key, saved.get(key), present.get(key))}"
        for key in differing(saved, present)
        if not key.startswith(_PAIRS_BEFORE)
    }
    given = {PRECISION_FLAG: allow_precision_change, CHANGES_FLAG: allow_changes}
    refused = {key: text for key, text in texts.items() if not given.get(flag := _flag(key), not flag)}
    if not refused:
        return list(texts.values())
    differences = "; ".join(refused.values())
    if set(refused) == {PARTS}:
        ranks = valid_ranks(present["train.global_batch_size"], micro_batch_size, saved[PARTS])
        raise EnvironmentProblem(
            f"this loss compares the pairs of a micro-batch with each other ({differences}). With this "
            f"train.micro_batch_size start {ranks}, or change it."
        )
    flags = sorted({_flag(key) for key in refused}, reverse=True)
    way = (
        "No option continues with the new ones: the weights of one network fit no other."
        if NO_FLAG in flags
        else f"{' '.join(flags)} continues with the new ones, and says so in the log of the run."
    )
    raise InputError(
        f"the run folder holds checkpoints of another run ({differences}). Give a new run.name, or the old values to "
        f"continue. {way}"
    )


def _flag(key: str) -> str:
    """The option that allows another value; empty where none is needed."""
    flags = {Change.TOLD: "", Change.PRECISION: PRECISION_FLAG, Change.NEVER: NO_FLAG}
    return flags.get(change_of(key), CHANGES_FLAG)


def _then_and_now(key: str, then: Any, now: Any) -> str:
    if key == DIVISION and then is None:
        return "the last step took what was left then, all have equally many pairs now"
    return f"{then!r} then, {now!r} now"


def refuse_fewer_steps(place: str, step: int, num_steps: int, train: TrainSection) -> None:
    """Raise `InputError` where a run has done more steps than it is to have."""
    if step > num_steps:
        setting = "epochs" if train.max_steps is None or num_steps < train.max_steps else "max_steps"
        raise InputError(
            f"{place} is at step {step:,}, and the run has {num_steps:,} steps now (train.{setting}: "
            f"{getattr(train, setting):,}). Steps cannot be taken back. Raise train.{setting} so that the run has "
            f"{step:,} steps or more, or give a new run.name to train for fewer."
        )


def valid_ranks(global_batch_size: int, micro_batch_size: int, num_micro: int) -> str:
    """Numbers of ranks with which a step has `num_micro` micro-batches, in words."""
    fewest = -(-global_batch_size // (micro_batch_size * num_micro))
    if num_micro == 1:
        return f"{fewest} ranks or more"
    most = -(-global_batch_size // (micro_batch_size * (num_micro - 1))) - 1
    return f"{fewest} to {most} ranks" if fewest <= most else "no number of ranks fits"
