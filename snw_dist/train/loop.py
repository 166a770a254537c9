"""The training loop: step, validate, save, stop together; it reads top to bottom."""

from __future__ import annotations

import time

import torch

from hpc.errors import Preempted
from hpc.told import tell
from snw_dist.train.build import Training
from snw_dist.train.feed import StepBatches
from snw_dist.train.finite import NotFiniteError, refuse_not_finite
from snw_dist.train.lines import best_of, end_lines, nothing_to_do, reason_to_end, validation_line
from snw_dist.train.validation import validate
from snw_dist.train.verdict import settle_step
from snw_dist.trained_run.folder import Finished, withdraw_finished, write_finished


def train(run: Training) -> None:
    """Train to the end, or until a stop request; every decision is taken by all ranks together.

    Raises `Preempted` at a stop request, with the state saved, and `NotFiniteError` where a step or a validation is
    not of finite numbers.
    """
    comm, progress = run.runtime.comm, run.progress
    reason = _reason_to_end(run)
    if reason is not None and not progress.unvalidated:
        tell(nothing_to_do(run.plan, progress.step, reason))
    try:
        reason = _train(run)
    except NotFiniteError:
        run.checkpoints.commit()  # a save in flight is of a step that was good
        raise
    run.checkpoints.save_and_commit(progress)
    best = best_of(progress, run.config.train.monitor)
    run.record.end(progress.step, {} if best is None else {f"best/{run.config.train.monitor}": best}, run.inputs)
    run.record.close()
    comm.on_rank_0(lambda: run.best.mend(progress))
    comm.on_rank_0(lambda: _finish(run, reason))


def _train(run: Training) -> str:
    """The loop; why it ended."""
    section, progress, plan = run.config.train, run.progress, run.plan
    validate_every = section.validate_every or plan.steps_per_epoch
    save_every, keep_every = section.save_every or plan.steps_per_epoch, section.keep_every
    if _reason_to_end(run) is None or progress.unvalidated:
        run.runtime.comm.on_rank_0(lambda: _reopen(run))
    if progress.unvalidated:
        run.record.forget_validation(progress.step)  # of a job that made it, and ended before its next save
    while True:
        step, last = progress.step, progress.step == plan.num_steps
        if progress.unvalidated:  # also when a resumed run begins, if a stop came during the validation
            _validate(run)
        wanted = step % save_every == 0 or (keep_every and step % keep_every == 0)
        if step > 0 and (wanted or last or progress.best_step == step):
            run.checkpoints.save(progress)
        reason = _reason_to_end(run)
        if reason is not None:
            return reason
        _boundary(run)
        take_step(run)
        progress.unvalidated = progress.step % validate_every == 0 or progress.step == plan.num_steps


def take_step(run: Training) -> None:
    """One optimiser step."""
    started, comm, engine, step = time.monotonic(), run.runtime.comm, run.engine, run.progress.step
    rate = run.rate(step, run.plan.num_steps)
    engine.set_learning_rate(rate)
    batches = next(run.feed)
    parts = list[torch.Tensor]()
    for batch, num_rows in batches.micro_batches:
        output = engine(batch.ligand, batch.receptor)
        loss, own = run.objective.shared(output, batch.target, num_rows)
        engine.backward(loss)
        engine.step()
        parts.append(own)
    total = sum(torch.stack(parts).tolist())  # asked for once: whoever asks a GPU waits for it
    mean = settle_step(engine, comm, run.progress, run.config.train.precision, total)
    mean /= comm.world_size * len(batches.micro_batches)
    run.progress.step = step + 1
    _record_step(run, mean, rate, batches, time.monotonic() - started)


def _record_step(run: Training, loss: float, rate: float, batches: StepBatches, seconds: float) -> None:
    step, skipped, waited = run.progress.step, run.progress.skipped, run.feed.waited_s
    values: dict[str, float | None] = {
        "loss": loss,
        "learning_rate": rate,
        "gradient_norm": run.engine.gradient_norm,
        "skipped_steps": skipped,
        "data_wait_s": waited,
    }
    run.record.log("train", step, values, seconds, batches.num_pairs)
    figures = {
        "epoch": (step - 1) // run.plan.steps_per_epoch + 1,
        "pairs_per_s": batches.num_pairs / seconds,
        "machine_share": run.meter.share(batches.operations, seconds),
        "data_wait_share": waited / seconds,
        "saves_share": run.checkpoints.held_s / (time.monotonic() - run.started),
    }
    run.record.show_step(step, skipped, loss, figures)


def _boundary(run: Training) -> None:
    """Where all ranks agree on a stop, between steps and between the passes of a validation, and save for it."""
    stop, writing = run.runtime.guard.boundary(run.checkpoints.writing)
    if not writing:
        run.checkpoints.commit()
    if stop:
        run.checkpoints.save_and_commit(run.progress)
        step = run.progress.step
        raise Preempted(f"asked to stop; state of step {step} is saved, start again to go on", step)


def _validate(run: Training) -> None:
    """Score the validation split and keep the weights when they are the best so far."""
    started, progress, monitor = time.monotonic(), run.progress, run.config.train.monitor
    loss, auroc, scores = validate(
        run.engine,
        run.objective,
        run.inputs.val,
        run.inputs.reader,
        run.runtime.comm,
        batch_size=run.config.evaluate.batch_size,
        max_length=run.config.model.max_length,
        device=run.runtime.device,
        boundary=lambda: _boundary(run),
    )
    if progress.record(auroc if monitor == "auroc" else -loss):
        _export(run, auroc, loss)
    run.record.log(
        "validation",
        progress.step,
        {"loss": loss, "auroc": auroc},
        time.monotonic() - started,
        len(run.inputs.val),
    )
    run.record.scores(progress.step, scores, run.inputs.val.positive)
    measured, best = {f"val_{monitor}": loss if monitor == "loss" else auroc}, best_of(progress, monitor)
    run.record.show_validation(progress.step, measured if best is None else {**measured, "best": best})
    tell(validation_line(run.plan, progress, run.config.train, loss, auroc))


def _export(run: Training, auroc: float, loss: float) -> None:
    """Collective: the weights of this step are the best so far."""
    guard, step = run.runtime.guard, run.progress.step
    if not run.checkpoints.any:  # an export says that there is one, see `refuse_lost_checkpoints`
        run.checkpoints.save_and_commit(run.progress)
    weights = run.engine.full_weights(guard.mark_boundary)
    refuse_not_finite(weights, f"step {step}")
    guard.on_rank_0(lambda: run.best.write(weights, step, auroc, loss))


def _reason_to_end(run: Training) -> str | None:
    return reason_to_end(run.plan, run.progress, run.config.train)


def _reopen(run: Training) -> None:
    run.fence.check()
    withdraw_finished(run.config.run_folder)


def _finish(run: Training, reason: str) -> None:
    """Say in the run folder, and to people, how training ended."""
    config, progress, identity = run.config, run.progress, run.identity
    best = {"step": progress.best_step, config.train.monitor: progress.best_value}
    trained_on = identity.lineage.trained_on
    finished = Finished(reason, progress.step, best, identity.trajectory, trained_on, progress.skipped)
    write_finished(config.run_folder, finished)
    took, held = time.monotonic() - run.started, run.checkpoints.held_s
    for line in end_lines(run.plan, progress, config.train, config.run_folder, reason, took, held):
        tell(line)
