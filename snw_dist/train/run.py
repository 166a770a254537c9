"""The training job: resume, step, validate, save, stop together; one loop that reads top to bottom."""

from __future__ import annotations

import dataclasses
import logging
import math
import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hpc.checkpoint import find_checkpoint
from hpc.errors import CorruptError, EnvironmentProblem, Preempted
from hpc.fence import Fence, claim_together
from hpc.files import atomic_write_json
from hpc.gather import gather_arrays
from hpc.logs import JsonLines
from hpc.runtime import Runtime
from snw_dist.config import SnwConfig, config_from_dict, config_to_dict
from snw_dist.data.prepared import load_prepared
from snw_dist.embedding.reader import StoreReader
from snw_dist.evaluate.metrics import classification_metrics
from snw_dist.model.build import build_model
from snw_dist.train.check import check_precision
from snw_dist.train.engine import Engine, prepare_deepspeed
from snw_dist.train.export import write_export
from snw_dist.train.feed import Feed
from snw_dist.train.objective import Objective, loss_of
from snw_dist.train.pairs import PairTable, make_batch, pair_table
from snw_dist.train.plan import TrainPlan, learning_rate
from snw_dist.train.portable import restore_random_state, write_snapshot
from snw_dist.train.provenance import provenance
from snw_dist.train.saves import Saves
from snw_dist.train.share import accumulation_steps
from snw_dist.train.state import Progress, check_resumable, trajectory
from snw_dist.train.tensorboard import TensorBoard
from snw_dist.train.tokens import TokenReader
from snw_dist.train.tuning import tuned_network

log = logging.getLogger(__name__)


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
        self._prepare_deepspeed()
        prepared = load_prepared(config.data_folder)
        self.reader = StoreReader(config.store_path)
        self.header = self.reader.header
        self.train, self.val = (pair_table(prepared, self.reader, split) for split in ("train", "val"))
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
        network, self.tuned = build_model(config.model, self.header.d_model, config.run.seed), {}
        if section.encoder_mode != "frozen":
            network, facts = tuned_network(network, config, self.header)
            self.tuned, self.reader = {"tuned_encoder": facts}, TokenReader(self.reader, prepared)
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
            device=self.device,
            rate_ratios={"encoder.": section.encoder_learning_rate_ratio} if self.tuned else {},
        )
        self.trajectory = trajectory(
            config,
            prepared.summary["made_from"]["inputs"],
            self.header.rows_digest,
            topology.world_size,
        )
        self.facts = provenance(
            self.header.encoder,
            topology.world_size,
            self.device,
            prepared.summary["made_from"]["inputs"],
        )
        self.progress = Progress()
        self.saved_step: int | None = None
        self.folder = config.run_folder
        self.fence = claim_together(self.comm, lambda: Fence(self.folder, runtime.attempt))
        self.saves = Saves(self.folder, self.comm, self.fence.check, section.keep_last, section.keep_every)
        self.started = time.monotonic()
        self.comm.on_rank_0(self._describe)
        self.metrics = JsonLines(self.folder / "metrics.jsonl") if self.comm.rank == 0 else None

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
        """Take up the newest checkpoint that verifies, if there is any; never silently start from zero."""
        section, root, allowed = self.config.train, self.folder / "checkpoints", []
        found = find_checkpoint(root, self.comm)
        if found is None:
            log.info("no checkpoint in %s: starting at step 0 of %d", root, self.plan.num_steps)
        else:
            allowed = check_resumable(
                found.meta["trajectory"],
                self.trajectory,
                section.allow_precision_change,
                section.allow_changes,
                section.micro_batch_size,
            )
            state = found.meta["state"]
            self.engine.load(found.path, state)
            place = self.comm.rank, self.comm.world_size
            restore_random_state(found.path, state["num_files"], *place, self.config.run.seed, found.step)
            self.progress = Progress(**found.meta["progress"])
            self.saved_step = self.progress.step
            log.info("resuming at step %d of %d from %s", self.progress.step, self.plan.num_steps, found.path)
        if self.metrics is not None:
            self.metrics.truncate_after(self.progress.step)
        if allowed:
            log.warning("continuing with other settings than before: %s", "; ".join(allowed))
            if self.metrics is not None:
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
        section, progress = self.config.train, self.progress
        validate_every = section.validate_every or self.plan.steps_per_epoch
        save_every, keep_every = section.save_every or self.plan.steps_per_epoch, section.keep_every
        reason = self._finished()
        while reason is None:
            stop, writing = self.runtime.guard.boundary(self.saves.writing)
            if not writing:
                self._commit()
            if stop:
                self._save()
                self._commit()
                raise Preempted(f"asked to stop; state of step {progress.step} is saved, start again to go on")
            self._step()
            last = progress.step == self.plan.num_steps
            if progress.step % validate_every == 0 or last:
                self._validate()
            wanted = progress.step % save_every == 0 or (keep_every and progress.step % keep_every == 0)
            if wanted or last or progress.best_step == progress.step:
                self._save()
            reason = self._finished()
        self._save()
        self._commit()
        self.tensorboard.close()
        self.comm.on_rank_0(lambda: self._close(reason))

    def _step(self) -> None:
        """One optimiser step."""
        section, started = self.config.train, time.monotonic()
        step = self.progress.step
        rate = learning_rate(
            step,
            self.plan.num_steps,
            section.learning_rate,
            section.warmup_steps,
            section.min_learning_rate_ratio,
        )
        self.engine.set_learning_rate(rate)
        batches = next(self.feed)
        total = 0.0
        for batch, num_rows in batches.micro_batches:
            output = self.engine(batch.ligand, batch.receptor)
            loss, own = self.objective.shared(output, batch.target, num_rows)
            self.engine.backward(loss)
            self.engine.step()
            total += float(own)
        loss_value = self.comm.sum(total) / (self.comm.world_size * self.num_micro)
        if not math.isfinite(loss_value) and section.precision != "fp16":  # fp16 skips the step and lowers its scale
            raise CorruptError(
                f"step {step + 1}: the loss is {loss_value}; all ranks stop. The last checkpoint is untouched. Lower "
                "train.learning_rate, set train.gradient_clipping, or check the labels and the embeddings."
            )
        self.progress.step = step + 1
        seconds = time.monotonic() - started
        norm = self.engine.gradient_norm
        values = {"loss": loss_value, "learning_rate": rate, "gradient_norm": norm, "data_wait_s": self.feed.waited_s}
        self._log("train", values, seconds, batches.num_pairs)
        epoch = step // self.plan.steps_per_epoch + 1
        if self.comm.rank == 0:
            self.runtime.progress.update(
                "train",
                step + 1,
                self.plan.num_steps,
                "steps",
                loss=loss_value,
                epoch=epoch,
                pairs_per_s=batches.num_pairs / seconds,
                data_wait=self.feed.waited_s / seconds,
                held_by_saves=self._share_of_saves(),
            )

    def _validate(self) -> None:
        """Score the validation split and keep the weights when they are the best so far."""
        started = time.monotonic()
        scores, losses = self._score(self.val)
        auroc = classification_metrics(self.val.positive, scores, 0.5)["auroc"]
        loss = float(np.average(losses, weights=self.val.weight))
        self._log("validation", {"loss": loss, "auroc": auroc}, time.monotonic() - started, len(self.val))
        value = auroc if self.config.train.monitor == "auroc" else -loss
        if self.progress.record(value):
            weights = self.engine.full_weights()
            self.comm.on_rank_0(lambda: self._export(weights, {"auroc": auroc, "loss": loss}))

    def _score(self, table: PairTable) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Scores and losses of all pairs of a table; equal on all ranks, and for any number of them.

        The ranks take batches in turn. A batch is the same however many ranks there are, because a loss that compares
        the pairs of a batch depends on which they are.
        """
        size, rank, world_size = self.config.evaluate.batch_size, self.comm.rank, self.comm.world_size
        num_batches = -(-len(table) // size)
        parts: list[NDArray[np.float64]] = []
        self.engine.train(False)
        with torch.no_grad():
            for turn in range(0, num_batches, world_size):  # all ranks make as many passes: ZeRO-3 gathers in each
                start = (turn + rank) * size
                pairs = np.arange(start, min(start + size, len(table))) if start < len(table) else np.zeros(1, np.int64)
                batch = make_batch(table, pairs, self.reader, self.config.model.max_length, self.device)
                output = self.engine(batch.ligand, batch.receptor)
                both = torch.stack([output.score, self.objective.losses(output, batch.target)])
                parts.append(both.double().cpu().numpy())
        self.engine.train(True)
        of_rank = gather_arrays(self.comm, parts)
        whole = np.concatenate([of_rank[n % world_size][n // world_size] for n in range(num_batches)], axis=1)
        return whole[0], whole[1]

    def _save(self) -> None:
        """Begin to save the state of this step, once; a save that is still in flight is waited for."""
        if self.saved_step == self.progress.step:
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
        self.saved_step = self.progress.step

    def _commit(self) -> None:
        """Commit the save in flight, if there is one; it may be that of an earlier step, and so is its record."""
        started = time.monotonic()
        while self.saves.wait(1.0):
            self.runtime.guard.mark_boundary()  # a large state on a slow disk is no hang
        done = self.saves.commit(started)
        if done is not None and self.metrics is not None:
            self.metrics.write({"kind": "save", **dataclasses.asdict(done)})

    def _finished(self) -> str | None:
        section = self.config.train
        if section.patience and self.progress.worse_in_a_row >= section.patience:
            return f"no better validation {section.monitor} in {section.patience} validations"
        return "all steps done" if self.progress.step >= self.plan.num_steps else None

    def _log(self, kind: str, values: dict[str, float | None], seconds: float, num_pairs: int) -> None:
        if self.metrics is not None:
            timing = {"seconds": seconds, "pairs_per_s": num_pairs / seconds}
            self.metrics.write({"kind": kind, "step": self.progress.step, **values, **timing})
        self.tensorboard.add(kind, values, self.progress.step)
        if kind == "validation":
            log.info(
                "step %d: validation loss %.4f, AUROC %.3f",
                self.progress.step,
                values["loss"],
                values["auroc"],
            )

    def _describe(self) -> None:
        atomic_write_json(self.folder / "config.json", config_to_dict(self.config))
        atomic_write_json(self.folder / "provenance.json", self.facts)

    def _export(self, weights: dict[str, torch.Tensor], values: dict[str, float]) -> None:
        facts = {"step": self.progress.step, "validation": values, "provenance": self.facts, **self.tuned}
        write_export(self.folder / "export", weights, self.config.model, self.header, facts)

    def _close(self, reason: str | None) -> None:
        best = {"step": self.progress.best_step, self.config.train.monitor: self.progress.best_value}
        atomic_write_json(self.folder / "finished.json", {"reason": reason, "step": self.progress.step, "best": best})
        log.info(
            "finished at step %d: %s; saves held training for %.2f s, %.2f %% of the time",
            self.progress.step,
            reason,
            self.saves.total_held_s,
            100 * self._share_of_saves(),
        )

    def _share_of_saves(self) -> float:
        """Share of the time since the start of this job that saves have held training."""
        return self.saves.total_held_s / (time.monotonic() - self.started)
