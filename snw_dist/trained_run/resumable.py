"""Whether a run may be gone on with: what a checkpoint, or an end, must agree with before it is taken up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hpc.errors import EnvironmentProblem, InputError
from snw_dist.config import SnwConfig, TrainSection
from snw_dist.embedding.store.reader import StoreReader
from snw_dist.trained_run.changes import DIVISION, PAIRS, PARTS, STORE, Change, change_of, differing
from snw_dist.trained_run.lineage import Lineage
from snw_dist.trained_run.trajectory import trajectory

PRECISION_FLAG, CHANGES_FLAG, NO_FLAG = "--allow-precision-change", "--allow-changes", "no option"
_PAIRS_BEFORE = "input "  # what older versions wrote in place of `PAIRS`: digests of the input files


def refuse_another_run(
    config: SnwConfig, lineage: Lineage, of_run: Mapping[str, Any], provenance: Mapping[str, Any]
) -> list[str]:
    """Raise `InputError` unless a checkpoint, or an end, `of_run` (its trajectory) is of this run with these data.

    Returns the differences that are allowed.
    """
    store = StoreReader(config.store_path).header.rows_digest if config.store_path.exists() else None
    saved, present = dict(of_run), trajectory(config, lineage.digest, store or "", 1)
    for key in (PARTS, *([] if store else [STORE])):
        saved.pop(key, None)
        present.pop(key, None)
    section = config.train
    return check_resumable(
        saved,
        present,
        section.allow_precision_change,
        section.allow_changes,
        section.micro_batch_size,
        lambda: lineage.changes(provenance),
    )


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
