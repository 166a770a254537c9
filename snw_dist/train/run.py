"""The training job: resume, step, validate, save, stop together; one loop that reads top to bottom."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

import torch

from hpc.disk.files import atomic_write_json
from hpc.disk.json_lines import JsonLines
from hpc.errors import EnvironmentProblem, Preempted
from hpc.job.runtime import Runtime
from hpc.ranks.preflight import refuse_problems
from hpc.save.checkpoint import find_checkpoint
from hpc.save.fence import Fence, claim_together
from hpc.told import tell
from snw_dist.config import SnwConfig, config_from_dict, config_to_dict
from snw_dist.data.prepared import load_prepared
from snw_dist.embedding.row_reader import RowReader
from snw_dist.embedding.store.reader import StoreReader
from snw_dist.model.build import check_size
from snw_dist.model.legal_losses import loss_of
from snw_dist.model.sides import check_sides
from snw_dist.predict.batches import indexed_pairs
from snw_dist.predict.export import write_export
from snw_dist.predict.tokens import TokenReader
from snw_dist.predict.tuned_encoder import network_of
from snw_dist.train.engine import Engine, prepare_deepspeed
from snw_dist.train.feed import Feed
from snw_dist.train.finite import NotFiniteError, refuse_not_finite
from snw_dist.train.lines import (
    best_of,
    end_lines,
    new_schedule,
    nothing_to_do,
    reason_to_end,
    start_line,
    validation_line,
)
from snw_dist.train.objective import Objective
from snw_dist.train.plan import TrainPlan, learning_rate
from snw_dist.train.portable import restore_random_state, write_snapshot
from snw_dist.train.precheck import check_precision
from snw_dist.train.progress import Progress
from snw_dist.train.provenance import provenance
from snw_dist.train.remake import known, lost_export, validation_at, weights_of
from snw_dist.train.saved import Expected, verifier
from snw_dist.train.saves import Saves
from snw_dist.train.shared_buffers import check_buffers
from snw_dist.train.tensorboard import TensorBoard
from snw_dist.train.validation import validate
from snw_dist.train.verdict import settle_step
from snw_dist.trained_run.changes import differing, other_measure
from snw_dist.trained_run.folder import METRICS, Finished, refuse_lost_checkpoints, withdraw_finished, write_finished
from snw_dist.trained_run.lineage import Lineage
from snw_dist.trained_run.resumable import check_resumable, refuse_fewer_steps
from snw_dist.trained_run.trajectory import accumulation_steps, trajectory


def run_training(values: dict[str, Any], runtime: Runtime) -> None:
    """Entry point of the training job; started again, it goes on from the newest checkpoint that verifies."""
    config = config_from_dict(values)
    job = TrainingJob(config, runtime)
    try:
        job.resume()
        try:
            job.run()
        finally:
            job.feed.close()
    finally:
        if runtime.comm.rank == 0:
            job.fence.release()


class TrainingJob:
    """One rank's part of a training run."""

    def __init__(self, config: SnwConfig, runtime: Runtime) -> None:
        section, topology = config.train, runtime.topology
        self.config, self.runtime, self.comm = config, runtime, runtime.comm
        self.device = runtime.device
        check_precision(section.precision, self.device.type)
        refuse_problems([check_buffers(runtime)])
        self._prepare_deepspeed()
        prepared = load_prepared(config.data_folder)
        check_sides(config.model.name, section.loss, prepared.symmetric)
        store = StoreReader(config.store_path)
        self.header = store.header
        self.train, self.val = (indexed_pairs(prepared, store, split) for split in ("train", "val"))
        self.plan = TrainPlan(
            self.train.receptor,
            section.global_batch_size,
            section.epochs,
            section.max_steps,
            config.run.seed,
            section.pairs_per_receptor,
        )
        self.num_micro = accumulation_steps(section.global_batch_size, section.micro_batch_size, topology.world_size)
        self.objective = Objective(
            loss_of(config.model.name, section.loss),
            config.model.margin,
            section.temperature,
            section.triplet_margin,
            section.mining,
        )
        sharing = topology.world_size if section.zero_stage else 1  # of gradients and moments, 12 bytes a parameter
        check_size(config.model, self.header.d_model, 4 + 12 / sharing)
        network, self.tuned = network_of(config, self.header)
        self.reader: RowReader = TokenReader(store, prepared) if self.tuned else store
        torch.manual_seed(config.run.seed * 1_000_003 + topology.rank)  # dropout differs between ranks
        self.engine = Engine(
            network,
            zero_stage=section.zero_stage,
            precision=section.precision,
            micro_batch_size=section.micro_batch_size,
            accumulation_steps=self.num_micro,
            learning_rate=section.learning_rate,
            weight_decay=section.weight_decay,
            gradient_clipping=section.gradient_clipping,
            rate_ratios={"encoder.": section.encoder_learning_rate_ratio} if self.tuned else {},
        )
        self.lineage = Lineage.of(prepared, config.run_folder)
        self.trajectory = trajectory(config, self.lineage.digest, self.header.rows_digest, topology.world_size)
        self.facts = provenance(
            self.header.encoder,
            topology.world_size,
            self.device,
            prepared.summary["made_from"]["inputs"],
        )
        self.progress = Progress()
        self.saved: Progress | None = None
        """What the newest checkpoint says of it."""
        self.has_checkpoint = False
        self.folder = config.run_folder
        self.fence = claim_together(self.comm, lambda: Fence(self.folder, runtime.attempt))
        self.saves = Saves(self.folder, self.comm, self.fence.check, section.keep_last, section.keep_every)
        self.started = time.monotonic()
        self.metrics: JsonLines | None = None
        self.scores: dict[str, float] = {}
        self.figures: dict[str, float] = {}
        """The last validation and the best, as they are shown beside the bar."""

    def _prepare_deepspeed(self) -> None:
        """A stop request reaches the compiler too and ends it: then there is nothing to save, but to be requeued."""
        problem = None
        try:
            prepare_deepspeed(self.device)
        except EnvironmentProblem as error:
            problem = error
        if self.runtime.guard.should_stop():
            raise Preempted("asked to stop before the first step; start again to go on")
        if problem is not None:
            raise problem

    def resume(self) -> None:
        """Take up the newest checkpoint that verifies, if there is any; never silently start from zero.

        Nothing of the run is changed before all is checked.
        """
        section, root, allowed = self.config.train, self.folder / "checkpoints", list[str]()
        verify = verifier(Expected(self.trajectory, self.plan.num_steps, self.engine.facts()["parameters"]))
        found = find_checkpoint(root, self.comm, verify)
        self.saves.begin_from(found, verify)
        if found is None:
            self.comm.on_rank_0(lambda: refuse_lost_checkpoints(self.folder))
        else:
            allowed = check_resumable(
                found.meta["trajectory"],
                self.trajectory,
                section.allow_precision_change,
                section.allow_changes,
                section.micro_batch_size,
                lambda: self.lineage.changes(found.meta["provenance"]),
            )
            refuse_fewer_steps(str(found.path), found.step, self.plan.num_steps, section)
            allowed += new_schedule(self.plan, found.step, found.meta["trajectory"], self._rate)
            self.lineage.follow(found.meta["provenance"])
            state = found.meta["state"]
            self.engine.load(found.path, state, self.comm)
            place = self.comm.rank, self.comm.world_size
            restore_random_state(found.path, state["num_files"], *place, self.config.run.seed, found.step)
            self.progress = Progress(**found.meta["progress"])
            self.saved = dataclasses.replace(self.progress)
            self.has_checkpoint = True
            if other_measure(differing(found.meta["trajectory"], self.trajectory), section.monitor):
                # The best so far is of another measure, and might stay the best for ever: these weights begin anew.
                self.progress.begin_anew()
                allowed.append("the best validation counts from here, because it is measured in another way now")
        tell(start_line(self.plan, self.progress.step, None if found is None else found.path, root))
        self.facts["trained_on"] = self.lineage.trained_on
        self.comm.on_rank_0(self._describe)
        if self.comm.rank == 0:
            self.metrics = JsonLines(self.folder / METRICS)
            self.metrics.truncate_after(self.progress.step)
        if allowed:
            tell(f"continuing with other settings than before: {'; '.join(allowed)}")
            if self.metrics is not None:
                self.metrics.forget("changed", self.progress.step)  # by a job that ended before its first save
                self.metrics.write({"kind": "changed", "step": self.progress.step, "changes": allowed})
        self.feed = Feed(
            self.train,
            self.reader,
            self.plan,
            first_step=self.progress.step,
            rank=self.comm.rank,
            world_size=self.comm.world_size,
            micro_batch_size=self.config.train.micro_batch_size,
            max_length=self.config.model.max_length,
            device=self.device,
        )
        self.tensorboard = TensorBoard(self.folder / "tensorboard", self.progress.step, self.comm.rank == 0)

    def run(self) -> None:
        """Train to the end, or until a stop request; every decision is taken by all ranks together."""
        reason = self._finished()
        if reason is not None and not self.progress.unvalidated:
            tell(nothing_to_do(self.plan, self.progress.step, reason))
        try:
            reason = self._train()
        except NotFiniteError:
            self._commit()  # a save in flight is of a step that was good
            raise
        self._save()
        self._commit()
        self.tensorboard.close()
        self.comm.on_rank_0(self._mend_export)
        self.comm.on_rank_0(lambda: self._close(reason))

    def _train(self) -> str:
        """The loop; why it ended."""
        section, progress = self.config.train, self.progress
        validate_every = section.validate_every or self.plan.steps_per_epoch
        save_every, keep_every = section.save_every or self.plan.steps_per_epoch, section.keep_every
        if self._finished() is None or progress.unvalidated:
            self.comm.on_rank_0(self._reopen)
        if progress.unvalidated and self.metrics is not None:
            self.metrics.forget("validation", progress.step)  # of a job that made it, and ended before its next save
        while True:
            step, last = progress.step, progress.step == self.plan.num_steps
            if progress.unvalidated:  # also when a resumed run begins, if a stop came during the validation
                self._validate()
            wanted = step % save_every == 0 or (keep_every and step % keep_every == 0)
            if step > 0 and (wanted or last or progress.best_step == step):
                self._save()
            reason = self._finished()
            if reason is not None:
                return reason
            self._boundary()
            self._step()
            progress.unvalidated = progress.step % validate_every == 0 or progress.step == self.plan.num_steps

    def _boundary(self) -> None:
        """Where all ranks agree on a stop, between steps and between the passes of a validation, and save for it."""
        stop, writing = self.runtime.guard.boundary(self.saves.writing)
        if not writing:
            self._commit()
        if stop:
            self._save()
            self._commit()
            raise Preempted(
                f"asked to stop; state of step {self.progress.step} is saved, start again to go on", self.progress.step
            )

    def _step(self) -> None:
        """One optimiser step."""
        section, started = self.config.train, time.monotonic()
        step = self.progress.step
        rate = self._rate(step, self.plan.num_steps)
        self.engine.set_learning_rate(rate)
        batches = next(self.feed)
        total = 0.0
        for batch, num_rows in batches.micro_batches:
            output = self.engine(batch.ligand, batch.receptor)
            loss, own = self.objective.shared(output, batch.target, num_rows)
            self.engine.backward(loss)
            self.engine.step()
            total += float(own)
        loss_value = settle_step(self.engine, self.comm, self.progress, section.precision, total)
        loss_value /= self.comm.world_size * self.num_micro
        self.progress.step = step + 1
        seconds = time.monotonic() - started
        values: dict[str, float | None] = {
            "loss": loss_value,
            "learning_rate": rate,
            "gradient_norm": self.engine.gradient_norm,
            "skipped_steps": self.progress.skipped,
            "data_wait_s": self.feed.waited_s,
        }
        self._log("train", values, seconds, batches.num_pairs)
        epoch = step // self.plan.steps_per_epoch + 1
        if self.comm.rank == 0:
            figures: dict[str, float] = {"skipped": self.progress.skipped} if self.progress.skipped else {}
            figures |= {"loss": loss_value, **self.scores, "epoch": epoch, "pairs_per_s": batches.num_pairs / seconds}
            figures |= {"data_wait": self.feed.waited_s / seconds, "held_by_saves": self._share_of_saves()}
            self.figures = figures
            self._report(force=False)

    def _report(self, force: bool) -> None:
        """The last step and the last validation, for whoever follows the job."""
        figures = self.figures | self.scores
        self.runtime.progress.update("train", self.progress.step, self.plan.num_steps, "steps", force=force, **figures)

    def _rate(self, step: int, num_steps: int) -> float:
        """Learning rate of a step of a run of so many."""
        section = self.config.train
        return learning_rate(
            step, num_steps, section.learning_rate, section.warmup_steps, section.min_learning_rate_ratio
        )

    def _validate(self) -> None:
        """Score the validation split and keep the weights when they are the best so far."""
        started, guard = time.monotonic(), self.runtime.guard
        loss, auroc = validate(
            self.engine,
            self.objective,
            self.val,
            self.reader,
            self.comm,
            batch_size=self.config.evaluate.batch_size,
            max_length=self.config.model.max_length,
            device=self.device,
            boundary=self._boundary,
        )
        monitor = self.config.train.monitor
        value = auroc if monitor == "auroc" else -loss
        if self.progress.record(value):
            if not self.has_checkpoint:  # an export says that there is one, see `refuse_lost_checkpoints`
                self._save()
                self._commit()
            weights, values = self.engine.full_weights(guard.mark_boundary), known(auroc=auroc, loss=loss)
            refuse_not_finite(weights, f"step {self.progress.step}")
            guard.on_rank_0(lambda: self._export(weights, values, self.progress.step, self.facts))
        self._log("validation", {"loss": loss, "auroc": auroc}, time.monotonic() - started, len(self.val))
        best = best_of(self.progress, monitor)
        self.scores = {f"val_{monitor}": loss if monitor == "loss" else auroc}
        self.scores |= {} if best is None else {"best": best}
        if self.comm.rank == 0:
            self._report(force=True)
        tell(validation_line(self.plan, self.progress, self.config.train, loss, auroc))

    def _save(self) -> None:
        """Begin to save the state of this step, once; a save that is still in flight is waited for."""
        if self.saved == self.progress:
            return
        self._commit()
        started, rank, state = time.monotonic(), self.comm.rank, self.engine.snapshot()
        meta = {
            "progress": dataclasses.asdict(self.progress),
            "trajectory": self.trajectory,
            "provenance": self.facts,
            "state": self.engine.facts(),
        }
        progress = dataclasses.replace(self.progress)
        self.saves.begin(progress, meta, lambda folder: write_snapshot(folder, rank, state), started)
        self.saved = progress

    def _commit(self) -> None:
        """Commit the save in flight, if there is one; it may be that of an earlier step, and so is its record."""
        started = time.monotonic()
        if (writing := self.saves.in_flight) is not None:
            self.runtime.guard.wait_for(writing)
        done = self.saves.commit(started)
        self.has_checkpoint |= done is not None
        if done is not None and self.metrics is not None:
            self.metrics.write({"kind": "save", **dataclasses.asdict(done)})

    def _finished(self) -> str | None:
        return reason_to_end(self.plan, self.progress, self.config.train)

    def _log(self, kind: str, values: dict[str, float | None], seconds: float, num_pairs: int) -> None:
        if self.metrics is not None:
            timing = {"seconds": seconds, "pairs_per_s": num_pairs / seconds}
            self.metrics.write({"kind": kind, "step": self.progress.step, **values, **timing})
        self.tensorboard.add(kind, values, self.progress.step)

    def _describe(self) -> None:
        atomic_write_json(self.folder / "config.json", config_to_dict(self.config))
        atomic_write_json(self.folder / "provenance.json", self.facts)
        self.lineage.write()

    def _reopen(self) -> None:
        self.fence.check()
        withdraw_finished(self.folder)

    def _mend_export(self) -> None:
        """A finished run has its export, also when it was lost since: then it is made again, without training."""
        found = lost_export(self.folder, self.progress)
        if found is not None:
            weights = weights_of(found, network_of(self.config, self.header)[0], self.config.train.precision)
            values = validation_at(self.folder / METRICS, found.step)
            self._export(weights, values, found.step, found.meta["provenance"])

    def _export(
        self, weights: dict[str, torch.Tensor], values: Mapping[str, float | None], step: int, provenance: Any
    ) -> None:
        self.fence.check()
        facts = {"step": step, "validation": dict(values), "provenance": provenance, **self.tuned}
        write_export(self.folder / "export", weights, self.config.model, self.header, facts)

    def _close(self, reason: str) -> None:
        best = {"step": self.progress.best_step, self.config.train.monitor: self.progress.best_value}
        trained_on, skipped = self.lineage.trained_on, self.progress.skipped
        finished = Finished(reason, self.progress.step, best, self.trajectory, trained_on, skipped)
        write_finished(self.folder, finished)
        took, held = time.monotonic() - self.started, self.saves.total_held_s
        for line in end_lines(self.plan, self.progress, self.config.train, self.folder, reason, took, held):
            tell(line)

    def _share_of_saves(self) -> float:
        """Share of the time since the start of this job that saves have held training."""
        return self.saves.total_held_s / (time.monotonic() - self.started)
