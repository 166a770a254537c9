"""DeepSpeed behind a small interface: the only module that imports it, and that knows where it keeps things.

Its own checkpoints are not used: they are pickles, and load only into the same number of ranks, stage and precision.
Known traps that are met here: every variable DeepSpeed wants is set, or it would start MPI; its C++ extension is
compiled under a lock that dies with its holder.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import nn

from hpc.errors import CorruptError, EnvironmentProblem, InputError
from hpc.job.request import STARTUP_DEADLINE_S
from hpc.machine.extensions import extensions_build_lock, prepare_extensions_folder
from hpc.ranks.communicator import Communicator
from snw_dist.model.tower import Tower
from snw_dist.train.finite import Suspect, refuse_not_finite
from snw_dist.train.gradients import GradientWatch
from snw_dist.train.portable import Piece, Snapshot, read_into, share, snapshot
from snw_dist.train.shared_buffers import announce_buffer, unlink_buffers

_SCALER = ("cur_scale", "cur_iter", "last_overflow_iter", "cur_hysteresis")
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
    with extensions_build_lock(folder, 4 * STARTUP_DEADLINE_S):
        try:
            build_shm_op()
        except (RuntimeError, OSError) as error:
            raise EnvironmentProblem(
                f"DeepSpeed's C++ extension could not be compiled ({str(error).strip()[-300:]}). It needs a C++ "
                "compiler, Python's headers and ninja on the node: load a compiler in the site profile."
            ) from None


# By default ZeRO-3 keeps a billion gathered parameters and fetches fifty million ahead: all of ESM C 600M in every
# pass, which is what stage 3 is there to avoid. Here a block is dropped after its use; small parameters stay gathered.
_GATHER_LITTLE = {
    "stage3_max_reuse_distance": 0,
    "stage3_max_live_parameters": 20_000_000,
    "stage3_prefetch_bucket_size": 5_000_000,
    "reduce_bucket_size": 5_000_000,
}


class Engine:
    """A network, its AdamW optimiser and its ZeRO partition on this rank."""

    def __init__(
        self,
        model: nn.Module,
        *,
        zero_stage: int,
        precision: Literal["fp32", "bf16", "fp16"],
        micro_batch_size: int,
        accumulation_steps: int,
        learning_rate: float,
        weight_decay: float,
        gradient_clipping: float,
        device: torch.device,
        rate_ratios: Mapping[str, float] | None = None,
    ) -> None:
        """`rate_ratios`: share of the learning rate for the parameters whose name begins so; 1 for all others."""
        import deepspeed
        from deepspeed.utils import logger as deepspeed_logger

        refuse_not_finite(dict(model.named_parameters()), "before the first step")  # as from an encoder's file
        deepspeed_logger.setLevel(logging.WARNING)
        announce_buffer()
        deepspeed.init_distributed(auto_mpi_discovery=False, verbose=False)
        unlink_buffers()
        settings: dict[str, Any] = {
            "train_micro_batch_size_per_gpu": micro_batch_size,
            "gradient_accumulation_steps": accumulation_steps,
            "gradient_clipping": 0.0 if zero_stage == 0 and precision == "fp32" else gradient_clipping,
            "zero_optimization": {"stage": zero_stage, **(_GATHER_LITTLE if zero_stage == 3 else {})},
            "zero_allow_untested_optimizer": True,
            "bf16": {"enabled": precision == "bf16"},
            "fp16": {"enabled": precision == "fp16"},
            "steps_per_print": 10**9,
            "wall_clock_breakdown": False,
        }
        for module in model.modules():
            if isinstance(module, Tower):  # ZeRO-3 gathers weights in every pass, and ranks differ in their groups
                module.groups_lengths = zero_stage < 3
        # With a rate of 0 the step that DeepSpeed makes to set up stage 0 in 16 bits changes nothing but its own count.
        self._adam = torch.optim.AdamW(_groups(model, rate_ratios or {}), lr=0.0, weight_decay=weight_decay)
        self._engine, *_ = deepspeed.initialize(
            model=model, optimizer=self._adam, config=settings, dist_init_required=False
        )
        self._adam.state.clear()
        self._stage, self._precision, self._loss_scale = zero_stage, precision, 1.0
        self._clipping, self._norm, self.stepped, self.scale_is_exhausted = gradient_clipping, 0.0, False, False
        self._watch = GradientWatch(
            self._engine.optimizer, self._adam, zero_stage, dict(self._engine.module.named_parameters())
        )
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
        if self._stage == 0 and self._precision == "fp32":
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
        pieces = self._pieces()
        if self._stage == 0:  # every rank holds all
            pieces = share(pieces, dist.get_rank(), dist.get_world_size())
        return snapshot(pieces, self._adam)

    def facts(self) -> dict[str, Any]:
        """What the manifest of a checkpoint says of the state: plain data, equal on all ranks."""
        steps = {float(state["step"]) for state in self._adam.state.values()}
        shapes = {name: list(_full_shape(parameter)) for name, parameter in self._trained()}
        scaler = {name: getattr(self._scaler(), name) for name in _SCALER if hasattr(self._scaler(), name)}
        return {
            "num_files": dist.get_world_size(),
            "parameters": shapes,
            "adam_step": max(steps, default=0.0),
            "loss_scale": scaler if self._precision == "fp16" else None,
        }

    def load(self, folder: Path, facts: Mapping[str, Any], comm: Communicator) -> None:
        """Collective: take up the state of a verified checkpoint, of any number of ranks, ZeRO stage and precision.

        `facts` is what `facts()` was. Raises `InputError` when it is the state of another network, and on all ranks the
        `CorruptError` of one that cannot read its part or finds there what is not finite.
        """
        shapes = {name: list(_full_shape(parameter)) for name, parameter in self._trained()}
        if shapes != facts["parameters"]:
            differing = {name for name, _ in _items(facts["parameters"]) ^ _items(shapes)}
            raise InputError(
                f"{folder}: the state of another network; {len(differing)} parameters differ, such as "
                f"{min(differing)!r}. Give a new run.name."
            )
        problem = None
        try:
            read_into(folder, facts["num_files"], self._pieces(), self._adam, facts["adam_step"])
        except CorruptError as error:
            problem = error
        comm.agree_on(problem)
        if self._precision == "fp16":
            for name, value in (facts["loss_scale"] or {}).items():
                if hasattr(self._scaler(), name):
                    setattr(self._scaler(), name, value)
        self._masters_to_weights()

    @torch.no_grad()
    def _masters_to_weights(self) -> None:
        """Collective: the weights that the forward pass uses follow the masters, as after an optimiser step."""
        wrapped = self._engine.optimizer
        if self._stage == 3:
            wrapped._partition_all_parameters()
            for number in range(len(wrapped.fp32_partitioned_groups_flat)):
                wrapped._reassign_or_swap_out_partitioned_parameters(number)
            if wrapped.persistent_parameters:  # small ones stay gathered, and would keep their old values
                wrapped.persistent_parameters[0].all_gather(wrapped.persistent_parameters)
        elif self._stage > 0:
            wrapped.update_lp_params()
        elif self._precision != "fp32":
            for weight, master in _pairs(wrapped):
                weight.copy_(master)

    def _trained(self) -> list[tuple[str, nn.Parameter]]:
        """Names and parameters that are trained; what is frozen is built again from the configuration."""
        return [(name, item) for name, item in self._engine.module.named_parameters() if item.requires_grad]

    def _pieces(self) -> list[Piece]:
        """What of each trained parameter this rank holds, and where."""
        wrapped = self._engine.optimizer
        if self._stage == 3:
            return [piece for name, item in self._trained() for piece in _piece_of_stage_3(name, item, wrapped)]
        if self._stage > 0:
            return [piece for name, item in self._trained() for piece in _piece_of_a_partition(name, item, wrapped)]
        masters = self._masters_of_stage_0()
        return [Piece(name, 0, item.numel(), masters.get(id(item), item), 0) for name, item in self._trained()]

    def _masters_of_stage_0(self) -> dict[int, torch.Tensor]:
        """Masters by the `id` of their weight, where training is in 16 bits and DeepSpeed's own look-up finds none."""
        if self._stage > 0 or self._precision == "fp32":
            return {}
        return {id(weight): master for weight, master in _pairs(self._engine.optimizer)}

    def _scaler(self) -> Any:
        wrapped = self._engine.optimizer
        return wrapped.loss_scaler if self._stage > 0 else getattr(wrapped, "loss_scale_config", None)

    def full_weights(self, mark: Callable[[], None] = lambda: None) -> dict[str, torch.Tensor]:
        """Collective: the whole network's float32 weights on the CPU, the masters where training is in 16 bits.

        By name, each [...] of its parameter's shape.

        `mark` is called after each parameter, as they may take long to come together.
        """
        from deepspeed import zero
        from deepspeed.utils import safe_get_full_fp32_param

        weights, masters = {}, self._masters_of_stage_0()
        for name, parameter in self._engine.module.named_parameters():
            full = masters.get(id(parameter))
            if full is None and parameter.requires_grad:
                full = safe_get_full_fp32_param(parameter)
            if full is None:  # no master: stage 0 in fp32, or not trained
                with zero.GatheredParameters([parameter]):
                    full = parameter.detach().clone()
            weights[name] = full.detach().float().cpu().reshape(_full_shape(parameter)).clone()
            mark()
        return weights


def _piece_of_a_partition(name: str, parameter: nn.Parameter, wrapped: Any) -> Iterator[Piece]:
    """Stages 1 and 2: all parameters of a group lie one after another, and a rank has one part of them."""
    mapping = parameter._hp_mapping  # type: ignore[attr-defined]  # None where no element is this rank's
    if mapping is not None:
        here, there = mapping.lp_fragment_address, mapping.hp_fragment_address
        owner = wrapped.single_partition_of_fp32_groups[mapping.param_group_index]
        yield Piece(name, here.start, here.numel, owner, there.start)


def _piece_of_stage_3(name: str, parameter: Any, wrapped: Any) -> Iterator[Piece]:
    """Stage 3: each parameter is cut into equal parts, one a rank, the last ones filled up with padding."""
    group, offset, length = wrapped.grad_position[wrapped.get_param_id(parameter)]
    start = dist.get_rank() * length
    count = min(length, parameter.ds_numel - start)
    if count > 0:
        yield Piece(name, start, count, wrapped.fp32_partitioned_groups_flat[group], offset)


def _pairs(wrapped: Any) -> Iterator[tuple[nn.Parameter, torch.Tensor]]:
    """Stage 0 in 16 bits: each weight and its master."""
    for weights, masters in zip(wrapped.fp16_groups, wrapped.fp32_groups, strict=True):
        yield from zip(weights, masters, strict=True)


def _items(shapes: Mapping[str, list[int]]) -> set[tuple[str, tuple[int, ...]]]:
    return {(name, tuple(shape)) for name, shape in shapes.items()}


def _groups(model: nn.Module, ratios: Mapping[str, float]) -> list[dict[str, Any]]:
    """The trained parameters by their share of the learning rate."""
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            ratio = next((ratio for prefix, ratio in ratios.items() if name.startswith(prefix)), 1.0)
            groups.setdefault(ratio, []).append(parameter)
    return [{"params": parameters, "ratio": ratio} for ratio, parameters in groups.items()]


def _full_shape(parameter: nn.Parameter) -> torch.Size:
    return torch.Size(getattr(parameter, "ds_shape", parameter.shape))
