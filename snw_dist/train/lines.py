"""What a training job says to people: where it begins, each validation, and how it ended. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hpc.amounts import duration
from hpc.save.checkpoint import checkpoint_name
from snw_dist.config import TrainSection
from snw_dist.train.plan import TrainPlan, number_of_steps
from snw_dist.train.progress import Progress

_MEASURES = {"auroc": "AUROC", "loss": "loss"}


def place_in(plan: TrainPlan, step: int) -> str:
    """Such as `step 73 of 400 (epoch 2 of 11)`; after the last step of an epoch it is still that one."""
    epoch = max(0, step - 1) // plan.steps_per_epoch + 1
    epochs = -(-plan.num_steps // plan.steps_per_epoch)
    return f"step {step} of {plan.num_steps} (epoch {epoch} of {epochs})"


def start_line(plan: TrainPlan, step: int, found: Path | None, folder: Path) -> str:
    """From what a job goes on."""
    if found is None:
        return f"no checkpoint in {folder}: starting at {place_in(plan, step)}, {len(plan.receptor):,} pairs an epoch"
    return f"resuming at {place_in(plan, step)}, from checkpoint {found}"


def best_of(progress: Progress, monitor: str) -> float | None:
    """The best validation so far, as it was measured; None before the first that is a number."""
    value = progress.best_value
    return None if value is None else value if monitor == "auroc" else -value


def best_text(progress: Progress, monitor: str) -> str:
    """The best validation so far: `AUROC 0.912 at step 80`."""
    value = best_of(progress, monitor)
    if value is None:
        return f"none, {_MEASURES[monitor]} was never a number"
    return f"{_MEASURES[monitor]} {value:.4f} at step {progress.best_step:,}"


def validation_line(plan: TrainPlan, progress: Progress, train: TrainSection, loss: float, auroc: float) -> str:
    """A validation, and whether it is the best so far."""
    score = "AUROC unknown (pairs of one kind only)" if math.isnan(auroc) else f"AUROC {auroc:.4f}"
    line = f"{place_in(plan, progress.step)}: validation {score}, loss {loss:.4f}, "
    if progress.best_step == progress.step:
        return f"{line}the best so far"
    worse = progress.worse_in_a_row
    limit = f", {worse} without a better one in a row (train.patience {train.patience})" if train.patience else ""
    return f"{line}best {best_text(progress, train.monitor)}{limit}"


def reason_to_end(plan: TrainPlan, progress: Progress, train: TrainSection) -> str | None:
    """Why there is nothing more to train, with the setting that says so; None while there is."""
    if train.patience and progress.worse_in_a_row >= train.patience:
        worse = progress.worse_in_a_row
        return f"no better validation {train.monitor} in {worse} validations (train.patience {train.patience})"
    if progress.step < plan.num_steps:
        return None
    if plan.num_steps < plan.epochs * plan.steps_per_epoch:
        return f"all steps done (train.max_steps {plan.num_steps:,})"
    return f"all steps done (train.epochs {plan.epochs:,})"


def nothing_to_do(plan: TrainPlan, step: int, reason: str) -> str:
    """For a run that is started again after its end."""
    capped = plan.num_steps < plan.epochs * plan.steps_per_epoch
    longer = "patience=N (0 never stops early)" if step < plan.num_steps else "max_steps=N" if capped else "epochs=N"
    return f"nothing to do: finished before at {place_in(plan, step)}: {reason}. To train on: --set train.{longer}"


def end_lines(
    plan: TrainPlan, progress: Progress, train: TrainSection, folder: Path, reason: str, seconds: float, saves_s: float
) -> list[str]:
    """How training ended: why, how long this job took, what is best, and where things are."""
    skipped = f"; fp16 skipped {progress.skipped:,} steps" if progress.skipped else ""
    share = f"{100 * saves_s / seconds:.2f} %" if seconds > 0 else "0 %"
    best = [] if progress.best_step is None else [f"best {checkpoint_name(progress.best_step)}"]
    names = ", ".join([*best, f"last {checkpoint_name(progress.step)}"])
    return [
        f"finished at {place_in(plan, progress.step)}: {reason}{skipped}",
        f"training in this job took {duration(seconds)}, of which saves held training for {saves_s:.2f} s ({share})",
        f"best validation: {best_text(progress, train.monitor)}",
        *([f"export of the best weights: {folder / 'export'}"] if best else []),
        f"checkpoints: {folder / 'checkpoints'} ({names})",
    ]


def new_schedule(
    plan: TrainPlan, step: int, of_run: Mapping[str, Any], rate: Callable[[int, int], float]
) -> Sequence[str]:
    """In words, what another length makes of the learning rate; nothing where the length is as in `of_run`.

    `of_run`: the trajectory of the checkpoint, which may hold anything. `rate(step, num_steps)`: the schedule.
    """
    names = ("global_batch_size", "epochs", "max_steps")
    batch, epochs, most = (of_run.get(f"train.{name}") for name in names)
    counts = [batch, epochs, *([] if most is None else [most])]
    if not all(type(count) is int and count > 0 for count in counts):
        return []
    then = number_of_steps(len(plan.receptor), counts[0], counts[1], most)
    if then == plan.num_steps or not 0 < step < plan.num_steps:
        return []
    return [
        f"learning rate: from here on the cosine is that of all {plan.num_steps:,} steps, before it was of {then:,}: "
        f"{rate(step - 1, then):.3g} at step {step:,}, {rate(step, plan.num_steps):.3g} at step {step + 1:,}"
    ]
