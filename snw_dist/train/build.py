"""All that a training run needs, from its configuration to the first step: read top to bottom, and taken down again."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from hpc.errors import EnvironmentProblem, Preempted
from hpc.job.runtime import Runtime
from hpc.ranks.preflight import refuse_problems
from hpc.save.fence import Fence, claimed_together
from hpc.told import tell
from snw_dist.config import SnwConfig
from snw_dist.model.build import check_size
from snw_dist.model.legal_losses import loss_of
from snw_dist.predict.tuned_encoder import network_of
from snw_dist.train.best_weights import BestWeights
from snw_dist.train.checkpoints import Checkpoints
from snw_dist.train.engine import Engine, prepare_deepspeed
from snw_dist.train.feed import Feed
from snw_dist.train.identity import Identity
from snw_dist.train.inputs import Inputs, read_inputs
from snw_dist.train.lines import start_line
from snw_dist.train.meter import Meter
from snw_dist.train.objective import Objective
from snw_dist.train.plan import TrainPlan, learning_rate
from snw_dist.train.precheck import check_precision
from snw_dist.train.progress import Progress
from snw_dist.train.record import Record, trackers_of
from snw_dist.train.resume import TakenUp, take_up
from snw_dist.train.saves import Saves
from snw_dist.train.shared_buffers import check_buffers
from snw_dist.trained_run.trajectory import accumulation_steps


@dataclass
class Training:
    """One rank's part of a training run, ready for its next step."""

    config: SnwConfig
    runtime: Runtime
    identity: Identity
    inputs: Inputs
    plan: TrainPlan
    rate: Callable[[int, int], float]
    """Learning rate of a step of a run of so many."""
    objective: Objective
    engine: Engine
    fence: Fence
    progress: Progress
    record: Record
    checkpoints: Checkpoints
    best: BestWeights
    feed: Feed
    meter: Meter
    started: float
    """Of `time.monotonic`: when this job had built its network and owned the run folder."""


@contextlib.contextmanager
def build_training(config: SnwConfig, runtime: Runtime) -> Iterator[Training]:
    """Collective: check the node, build the network, own the run folder, and take up its newest checkpoint.

    Nothing of the run is changed before all is checked. At the end, however that comes, the folder is given back.
    """
    section, comm = config.train, runtime.comm
    _check_node(config, runtime)
    inputs = read_inputs(config)
    plan, rate, objective = _plan(config, inputs), _rate(config), _objective(config)
    network, encoder = _network(config, inputs, runtime)
    meter = Meter.of(network, inputs.header.row_width, section.precision, runtime.device, comm)
    torch.manual_seed(config.run.seed * 1_000_003 + comm.rank)  # dropout differs between ranks
    engine = _engine(config, network, runtime)
    identity = Identity.of(config, inputs, runtime)
    with claimed_together(comm, lambda: Fence(config.run_folder, runtime.attempt)) as fence:
        started = time.monotonic()
        saves = Saves(config.run_folder, comm, fence.check, section.keep_last, section.keep_every)
        begun = take_up(identity, plan, rate, engine, comm, saves)
        best = BestWeights(identity, inputs.header, encoder, fence)
        with (
            contextlib.closing(_begin_record(begun, identity, plan, runtime)) as record,
            contextlib.closing(_feed(config, inputs, plan, meter, begun.progress.step, runtime)) as feed,
        ):
            checkpoints = Checkpoints(saves, engine, identity, record, comm, runtime.guard, begun.saved)
            yield Training(
                config,
                runtime,
                identity,
                inputs,
                plan,
                rate,
                objective,
                engine,
                fence,
                begun.progress,
                record,
                checkpoints,
                best,
                feed,
                meter,
                started,
            )


def _check_node(config: SnwConfig, runtime: Runtime) -> None:
    """What this node must have; DeepSpeed's extension is compiled here.

    A stop request reaches the compiler too and ends it: then there is nothing to save, but to be requeued.
    """
    check_precision(config.train.precision, runtime.device.type)
    refuse_problems([check_buffers(runtime)])
    problem = None
    try:
        prepare_deepspeed(runtime.device)
    except EnvironmentProblem as error:
        problem = error
    if runtime.guard.should_stop():
        raise Preempted("asked to stop before the first step; start again to go on")
    if problem is not None:
        raise problem


def _plan(config: SnwConfig, inputs: Inputs) -> TrainPlan:
    section = config.train
    return TrainPlan(
        inputs.train.receptor,
        section.global_batch_size,
        section.epochs,
        section.max_steps,
        config.run.seed,
        section.pairs_per_receptor,
    )


def _rate(config: SnwConfig) -> Callable[[int, int], float]:
    section = config.train
    return functools.partial(
        learning_rate,
        peak=section.learning_rate,
        warmup_steps=section.warmup_steps,
        min_ratio=section.min_learning_rate_ratio,
    )


def _objective(config: SnwConfig) -> Objective:
    section, loss = config.train, loss_of(config.model.name, config.train.loss)
    return Objective(loss, config.model.margin, section.temperature, section.triplet_margin, section.mining)


def _network(config: SnwConfig, inputs: Inputs, runtime: Runtime) -> tuple[nn.Module, dict[str, Any]]:
    """See `network_of`; a network that does not fit is refused before it is built."""
    sharing = runtime.comm.world_size if config.train.zero_stage else 1  # of gradients and moments, 12 bytes each
    check_size(config.model, inputs.header.row_width, 4 + 12 / sharing)
    return network_of(config, inputs.header)


def _engine(config: SnwConfig, network: nn.Module, runtime: Runtime) -> Engine:
    section = config.train
    return Engine(
        network,
        zero_stage=section.zero_stage,
        precision=section.precision,
        micro_batch_size=section.micro_batch_size,
        accumulation_steps=accumulation_steps(
            section.global_batch_size, section.micro_batch_size, runtime.comm.world_size
        ),
        learning_rate=section.learning_rate,
        weight_decay=section.weight_decay,
        gradient_clipping=section.gradient_clipping,
        device=runtime.device,
        rate_ratios={} if section.encoder_mode == "frozen" else {"encoder.": section.encoder_learning_rate_ratio},
    )


def _begin_record(begun: TakenUp, identity: Identity, plan: TrainPlan, runtime: Runtime) -> Record:
    """Collective: say from where the job goes on, to people and in the run folder."""
    folder, step = identity.config.run_folder, begun.progress.step
    tell(start_line(plan, step, begun.path, folder / "checkpoints"))
    runtime.comm.on_rank_0(identity.write)
    trackers = trackers_of(identity.config, step) if runtime.comm.rank == 0 else None
    record = Record(folder, runtime.comm.rank, step, plan.num_steps, runtime.progress, trackers)
    if begun.changes:
        tell(f"continuing with other settings than before: {'; '.join(begun.changes)}")
        record.changes(step, begun.changes)
    return record


def _feed(config: SnwConfig, inputs: Inputs, plan: TrainPlan, meter: Meter, first_step: int, runtime: Runtime) -> Feed:
    return Feed(
        inputs.train,
        inputs.reader,
        plan,
        meter,
        first_step=first_step,
        rank=runtime.comm.rank,
        world_size=runtime.comm.world_size,
        micro_batch_size=config.train.micro_batch_size,
        max_length=config.model.max_length,
        device=runtime.device,
    )
