"""DeepSpeed behind a small interface: the only module that imports it.

Known traps that are met here: `latest` is never written (a checkpoint is committed by `hpc.checkpoint`); a rank whose
write fails must not leave the others in a barrier, so the failure is kept until all are through; every variable
DeepSpeed wants is set, or it would start MPI; its C++ extension is compiled under a lock that dies with its holder.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from hpc.errors import EnvironmentProblem
from hpc.extensions import extensions_build_lock, prepare_extensions_folder
from hpc.process_group import STARTUP_DEADLINE_S

_TAG = "deepspeed"
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
    ) -> None:
        import deepspeed
        from deepspeed.utils import logger as deepspeed_logger

        deepspeed_logger.setLevel(logging.WARNING)
        deepspeed.init_distributed(auto_mpi_discovery=False, verbose=False)
        settings: dict[str, Any] = {
            "train_micro_batch_size_per_gpu": micro_batch_size,
            "gradient_accumulation_steps": accumulation_steps,
            "gradient_clipping": gradient_clipping,
            "zero_optimization": {"stage": zero_stage},
            "zero_allow_untested_optimizer": True,
            "bf16": {"enabled": precision == "bf16"},
            "fp16": {"enabled": precision == "fp16"},
            "steps_per_print": 10**9,
            "wall_clock_breakdown": False,
        }
        optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=weight_decay)
        self._engine, *_ = deepspeed.initialize(
            model=model, optimizer=optimizer, config=settings, dist_init_required=False
        )
        self._writer = _RecordingWriter(self._engine.checkpoint_engine)
        self._engine.checkpoint_engine = self._writer
        self._stage = zero_stage

    def __call__(self, *inputs: Any) -> Any:
        """Forward pass."""
        return self._engine(*inputs)

    def train(self, mode: bool) -> None:
        """Switch dropout on or off."""
        self._engine.train(mode)

    def backward(self, loss: torch.Tensor) -> None:
        """Accumulate the gradient of one micro-batch."""
        self._engine.backward(loss)

    def step(self) -> None:
        """End a micro-batch; the optimiser steps after the last one of a step."""
        self._engine.step()

    def set_learning_rate(self, value: float) -> None:
        """Learning rate of the next optimiser step."""
        for group in self._engine.optimizer.param_groups:
            group["lr"] = value

    @property
    def gradient_norm(self) -> float | None:
        """Global norm of the last step's gradient before clipping, where DeepSpeed knows it."""
        norm = self._engine.get_global_grad_norm()
        return None if norm is None else float(norm)

    def save(self, folder: Path, rank: int) -> list[str]:
        """Write this rank's part of the state; returns the names of its files, relative to `folder`."""
        self._writer.begin()
        self._engine.save_checkpoint(str(folder), tag=_TAG, save_latest=False)
        self._writer.end()
        name = f"rng_{rank:05d}.safetensors"
        save_file(_random_state(), folder / name)
        return [name, *(str(path.relative_to(folder)) for path in self._writer.written)]

    def load(self, folder: Path, rank: int) -> None:
        """Take up the state of a verified checkpoint of the same world size, ZeRO stage and precision."""
        loaded, _ = self._engine.load_checkpoint(str(folder), tag=_TAG)
        if loaded is None:
            raise EnvironmentProblem(f"{folder}: DeepSpeed found nothing to load there")
        _set_random_state(load_file(folder / f"rng_{rank:05d}.safetensors"))

    def full_weights(self) -> dict[str, torch.Tensor]:
        """Collective: the whole network's float32 weights on the CPU, the masters where training is in 16 bits."""
        from deepspeed.utils import safe_get_full_fp32_param

        weights = {}
        for name, parameter in self._engine.module.named_parameters():
            full = safe_get_full_fp32_param(parameter)
            full = parameter.detach() if full is None else full
            weights[name] = full.float().cpu().reshape(_full_shape(parameter)).clone()
        return weights


class _RecordingWriter:
    """Passes DeepSpeed's writes on, noting the files; a failure is kept until `end`, after the last barrier."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.written: list[Path] = []
        self._problem: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def begin(self) -> None:
        self.written, self._problem = [], None

    def save(self, state_dict: Mapping[str, Any], path: str) -> None:
        try:
            self._inner.save(state_dict, path)
            self.written.append(Path(path))
        except OSError as error:
            self._problem = error
        except RuntimeError as error:  # torch's zip writer reports a full disk so
            self._problem = OSError(f"{path}: {error}")

    def end(self) -> None:
        if self._problem is not None:
            raise self._problem


def _full_shape(parameter: nn.Parameter) -> torch.Size:
    return torch.Size(getattr(parameter, "ds_shape", parameter.shape))


def _random_state() -> dict[str, torch.Tensor]:
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def _set_random_state(state: Mapping[str, torch.Tensor]) -> None:
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
