"""DeepSpeed behind a small interface: the only module that imports it.

Its own checkpoints are not used: they are pickles, and load only into the same number of ranks, stage and precision.
Known traps that are met here: every variable DeepSpeed wants is set, or it would start MPI; its C++ extension is
compiled under a lock that dies with its holder.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from hpc.errors import CorruptError, EnvironmentProblem, InputError
from hpc.job.request import STARTUP_DEADLINE_S
from hpc.machine.extensions import extensions_build_lock, prepare_extensions_folder
from hpc.ranks.communicator import Communicator
from hpc.told import long_work
from snw_dist.config import Precision
from snw_dist.model.tower import Tower
from snw_dist.train.engine_settings import deepspeed_settings, parameter_groups, we_clip
from snw_dist.train.finite import Suspect, refuse_not_finite
from snw_dist.train.flat import Flat, may_be_flat, parts_of
from snw_dist.train.gradients import GradientWatch
from snw_dist.train.partition import Partition
from snw_dist.train.portable import Snapshot, read_into, share, snapshot
from snw_dist.train.shared_buffers import announce_buffer, unlink_buffers

_SCALER = ("cur_scale", "cur_iter", "last_overflow_iter", "cur_hysteresis")
_BUILDING = "making DeepSpeed's C++ code ready; the first run on a machine compiles it"
log = logging.getLogger(__name__)


def prepare_deepspeed(device: torch.device) -> None:
    """Before DeepSpeed is first imported: tie it to the device, and compile what it needs on a CPU under a safe lock.

    Compiling takes half a minute once a node. Nothing else happens under the lock: joining the group there would wait
    for ranks that wait for the lock. Raises `EnvironmentProblem` with the compiler's last words.
    """
    # Left to itself DeepSpeed takes a GPU wherever there is one, also when this run is to stay on the CPU.
    os.environ["DS_ACCELERATOR"] = device.type
    if device.type != "cpu":
        return
    import deepspeed
    from deepspeed.comm.torch import build_shm_op

    folder = prepare_extensions_folder({"torch": torch.__version__, "deepspeed": deepspeed.__version__})
    with long_work(_BUILDING), extensions_build_lock(folder, 4 * STARTUP_DEADLINE_S):
        try:
            build_shm_op()
        except (RuntimeError, OSError) as error:
            raise EnvironmentProblem(
                f"DeepSpeed's C++ extension could not be compiled ({str(error).strip()[-300:]}). It needs a C++ "
                "compiler, Python's headers and ninja on the node: load a compiler in the site profile."
            ) from None


def _join() -> None:
    """Collective: DeepSpeed takes up the process group, and its shared buffers are mapped on all ranks."""
    import deepspeed
    from deepspeed.utils import logger as deepspeed_logger

    deepspeed_logger.setLevel(logging.WARNING)
    announce_buffer()
    deepspeed.init_distributed(auto_mpi_discovery=False, verbose=False)
    unlink_buffers()


def _laid_out(model: nn.Module, zero_stage: int, device: torch.device, ratios: Mapping[str, float]) -> nn.Module:
    """The network as DeepSpeed takes it: with one parameter where that pays.

    Pairs of like length are computed together, except where ZeRO-3 gathers weights in every pass: the ranks differ in
    their groups, and would wait for each other.
    """
    for module in model.modules():
        if isinstance(module, Tower):
            module.groups_lengths = zero_stage < 3
    return Flat(model) if may_be_flat(model, device, zero_stage, ratios) else model


def _wrapped(model: nn.Module, adam: torch.optim.AdamW, settings: dict[str, Any]) -> Any:
    import deepspeed

    engine, *_ = deepspeed.initialize(model=model, optimizer=adam, config=settings, dist_init_required=False)
    adam.state.clear()
    return engine


class Engine:
    """A network, its AdamW optimiser and its ZeRO partition on this rank."""

    def __init__(
        self,
        model: nn.Module,
        *,
        zero_stage: int,
        precision: Precision,
        micro_batch_size: int,
        accumulation_steps: int,
        learning_rate: float,
        weight_decay: float,
        gradient_clipping: float,
        device: torch.device,
        rate_ratios: Mapping[str, float] | None = None,
    ) -> None:
        """Collective, after `prepare_deepspeed`. Raises `NotFiniteError` for weights that are not finite.

        `model`: the whole network, equal on all ranks; what requires no gradient is not trained.
        `zero_stage`: what the ranks share out: 0 nothing, 1 masters and moments, 2 also gradients, 3 also weights.
        `precision`: of the arithmetic; the masters are float32 in each.
        `micro_batch_size`: the most pairs of one rank in a forward pass.
        `accumulation_steps`: micro-batches of one rank in an optimiser step.
        `learning_rate`: of every step until `set_learning_rate`.
        `weight_decay`: a step takes this times the learning rate from each weight, as a share of the weight.
        `gradient_clipping`: the largest global norm of a step's gradient; 0 does not clip.
        `device`: where DeepSpeed trains, the one of `prepare_deepspeed`.
        `rate_ratios`: share of the learning rate for the parameters whose name begins so; 1 for all others.
        """
        refuse_not_finite(dict(model.named_parameters()), "before the first step")  # as from an encoder's file
        _join()
        model = _laid_out(model, zero_stage, device, ratios := rate_ratios or {})
        self._parts = parts_of(model)
        # With a rate of 0 the step that DeepSpeed makes to set up stage 0 in 16 bits changes nothing but its own count.
        groups, fused = parameter_groups(model, ratios), device.type == "cuda" or None
        self._adam = torch.optim.AdamW(groups, lr=0.0, weight_decay=weight_decay, fused=fused)
        size = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
        told = deepspeed_settings(zero_stage, precision, micro_batch_size, accumulation_steps, gradient_clipping, size)
        self._engine = _wrapped(model, self._adam, told)
        self._stage, self._precision, self._loss_scale = zero_stage, precision, 1.0
        self._clipping, self._norm, self.stepped, self.scale_is_exhausted = gradient_clipping, 0.0, False, False
        optimiser, named = self._engine.optimizer, dict(self._engine.module.named_parameters())
        self._watch = GradientWatch(optimiser, self._adam, zero_stage, named, self._parts)
        self._partition = Partition(optimiser, named, self._parts, zero_stage, precision, dist.get_rank())
        if precision == "fp16" and zero_stage > 0:  # it would end with an exception of its own; `stepped` says it too
            self._scaler().raise_error_at_min_scale = False
        self.set_learning_rate(learning_rate)

    def __call__(self, *inputs: Any) -> Any:
        """Forward pass."""
        return self._engine(*inputs)

    def train(self, mode: bool) -> None:
        """Switch dropout on or off."""
        self._engine.train(mode)

    def backward(self, loss: torch.Tensor) -> None:
        """Accumulate the gradient of one micro-batch, of which `loss` [] is the mean."""
        if self._stage == 0 and self._precision == "fp16":
            # DeepSpeed 0.19 divides every gradient by its loss scale, but multiplies the loss in stages 1 to 3 alone:
            # the optimiser would see gradients 65,536 times too small, many of them as zeros.
            self._loss_scale = float(self._scaler().cur_scale)
            loss = loss * self._loss_scale
        self._engine.backward(loss)

    def step(self) -> None:
        """End a micro-batch; after the last one of a step the optimiser steps, and `stepped` says whether it did."""
        self.stepped, tried = False, self._loss_scale
        if not self._engine.is_gradient_accumulation_boundary():
            self._engine.step()
            return
        self._watch.begin()
        if self._precision == "fp16":
            scaler = self._scaler()
            least = getattr(scaler, "min_scale", getattr(scaler, "min_loss_scale", None))
            self.scale_is_exhausted = least is not None and float(scaler.cur_scale) <= least
        if we_clip(self._stage, self._precision):
            self._norm = self._watch.clip(self._clipping)
            self._engine.step()
        else:
            self._engine.step()
            self._norm = float(self._engine.get_global_grad_norm()) / tried
        self.stepped = self._engine.was_step_applied() and self._watch.stepped(self._norm)

    def set_learning_rate(self, value: float) -> None:
        """Learning rate of the next optimiser step."""
        for group in self._engine.optimizer.param_groups:
            group["lr"] = value * group["ratio"]

    @property
    def gradient_norm(self) -> float:
        """Global norm of the last step's gradient before clipping; not finite where the step was skipped."""
        return self._norm

    @property
    def suspect(self) -> Suspect | None:
        """What this rank holds of the gradient that kept the optimiser from its last step."""
        return self._watch.suspect

    def snapshot(self) -> Snapshot:
        """A copy of this rank's part of the state, on the CPU; no communication."""
        pieces = self._partition.pieces()
        if self._stage == 0:  # every rank holds all
            pieces = share(pieces, dist.get_rank(), dist.get_world_size())
        return snapshot(pieces, self._adam)

    def facts(self) -> dict[str, Any]:
        """What the manifest of a checkpoint says of the state: plain data, equal on all ranks."""
        steps = {float(state["step"]) for state in self._adam.state.values()}
        scaler = {name: getattr(self._scaler(), name) for name in _SCALER if hasattr(self._scaler(), name)}
        return {
            "num_files": dist.get_world_size(),
            "parameters": self._partition.shapes(),
            "adam_step": max(steps, default=0.0),
            "loss_scale": scaler if self._precision == "fp16" else None,
        }

    def load(self, folder: Path, facts: Mapping[str, Any], comm: Communicator) -> None:
        """Collective: take up the state of a verified checkpoint, of any number of ranks, ZeRO stage and precision.

        `facts` is what `facts()` was. Raises `InputError` when it is the state of another network, and on all ranks the
        `CorruptError` of one that cannot read its part or finds there what is not finite.
        """
        shapes = self._partition.shapes()
        if shapes != facts["parameters"]:
            differing = {name for name, _ in _items(facts["parameters"]) ^ _items(shapes)}
            raise InputError(
                f"{folder}: the state of another network; {len(differing)} parameters differ, such as "
                f"{min(differing)!r}. Give a new run.name."
            )
        problem = None
        try:
            read_into(folder, facts["num_files"], self._partition.pieces(), self._adam, facts["adam_step"])
        except CorruptError as error:
            problem = error
        comm.agree_on(problem)
        if self._precision == "fp16":
            for name, value in (facts["loss_scale"] or {}).items():
                if hasattr(self._scaler(), name):
                    setattr(self._scaler(), name, value)
        self._partition.masters_to_weights()

    def _scaler(self) -> Any:
        wrapped = self._engine.optimizer
        return wrapped.loss_scaler if self._stage > 0 else getattr(wrapped, "loss_scale_config", None)

    def full_weights(self, mark: Callable[[], None] = lambda: None) -> dict[str, torch.Tensor]:
        """Collective: the whole network's float32 weights on the CPU, the masters where training is in 16 bits.

        By name, each [...] of its own shape. `mark` is called after each parameter, as they may take long to come
        together.
        """
        from deepspeed import zero
        from deepspeed.utils import safe_get_full_fp32_param

        weights, masters = dict[str, torch.Tensor](), self._partition.masters_of_stage_0()
        for name, parameter in self._engine.module.named_parameters():
            full = masters.get(id(parameter))
            if full is None and parameter.requires_grad:
                full = safe_get_full_fp32_param(parameter)
            if full is None:  # no master: stage 0 in fp32, or not trained
                with zero.GatheredParameters([parameter]):
                    full = parameter.detach().clone()
            flat = full.detach().float().cpu().flatten()
            weights |= {part.name: flat[part.start : part.stop].view(part.shape).clone() for part in self._parts[name]}
            mark()
        return weights


def _items(shapes: Mapping[str, list[int]]) -> set[tuple[str, tuple[int, ...]]]:
    return {(name, tuple(shape)) for name, shape in shapes.items()}
