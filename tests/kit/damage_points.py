"""Jobs in which numbers, disks or signals go wrong on purpose; each leaves what became of it in `job_folder`."""

from __future__ import annotations

import dataclasses
import gc
import os
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

from hpc.errors import SnwError
from hpc.job.runtime import Runtime
from hpc.ranks.preemption import PreemptionGuard
from hpc.save.saving import Save
from tests.kit.jobs import leave

Config = dict[str, Any]


def gradients(config: Config, runtime: Runtime) -> None:
    """Trainings, in each of which one gradient of one rank is damaged at one step: how they end, with what code."""
    import deepspeed.accelerator

    # Slow on a CPU, which is why DeepSpeed does not offer fp16 there; what it does with its loss scale is the same.
    prepare = mock.patch("snw_dist.train.build.check_precision")
    legal = mock.patch.object(deepspeed.accelerator.get_accelerator(), "is_fp16_supported", return_value=True)
    found = []
    for case in config["cases"]:
        damage = case["damage"]
        with prepare, legal, _damaged_gradient(**damage) if case["rank"] == runtime.comm.rank else nullcontext():
            found.append(_trained(case["config"], runtime))
    leave(runtime, "ended", found)


def stops(config: Config, runtime: Runtime) -> None:
    """Trainings, one after another; `stop`: rank, and number of the validation pass in which it is asked to stop."""
    found = []
    for case in config["cases"]:
        with mock.patch("snw_dist.train.validation.make_batch", _asking_to_stop(runtime.comm.rank, case.get("stop"))):
            if "fail_in" in case:
                with mock.patch(case["fail_in"], side_effect=RuntimeError("killed")):
                    found.append(_trained(case["config"], runtime))
            else:
                found.append(_trained(case["config"], runtime))
    leave(runtime, "ended", found)


def slow_save(config: Config, runtime: Runtime) -> None:
    """Asked to stop already; one rank writes its part piece by piece, longer than the watchdog waits, or not at all."""

    def write(folder: Path) -> list[str]:
        name = f"rank{runtime.comm.rank}"
        with (folder / name).open("wb", buffering=0) as file:
            for _ in range(config["pieces"] if runtime.comm.rank == config["slow_rank"] else 1):
                file.write(b"piece")
                time.sleep(config["piece_s"])
        return [name]

    with PreemptionGuard(runtime.comm, time_left_s=0.0, watchdog_s=config["watchdog_s"]) as guard:
        started = time.monotonic()
        save = Save(runtime.job_folder / "checkpoints", 1, {}, write, runtime.comm)
        guard.wait_for(save.work)
        save.commit()
        leave(runtime, "saved", time.monotonic() - started)


def stopped_evaluation(config: Config, runtime: Runtime) -> None:
    """Asked to stop while a control takes a minute: nothing of its own comes to an end before."""
    from snw_dist.evaluate.job import run_evaluation

    def control(*_: Any) -> Any:
        os.kill(os.getpid(), signal.SIGUSR2)
        time.sleep(60)

    with mock.patch("snw_dist.evaluate.run.data_controls", control):
        run_evaluation(config, runtime)


def _trained(values: Config, runtime: Runtime) -> list[Any]:
    """One training as if in a process of its own: what it ended with."""
    import torch

    from snw_dist.train.run import run_training

    linear = torch.nn.functional.linear
    with warnings.catch_warnings(), PreemptionGuard(runtime.comm) as guard:
        warnings.simplefilter("default")
        try:
            run_training(values, dataclasses.replace(runtime, guard=guard))
            return [0, "done"]
        except SnwError as error:
            return [int(error.exit_code), str(error)]
        except RuntimeError as error:
            return [1, str(error)]
        finally:
            torch.nn.functional.linear = linear
            gc.collect()


@contextmanager
def _damaged_gradient(step: int | None, name: str, value: str) -> Iterator[None]:
    """The gradient of a parameter gets one element of this value in the backward pass of a step, or of all (None)."""
    import torch

    from snw_dist.train.engine import Engine

    original, passes = Engine.backward, 0

    def backward(engine: Engine, loss: torch.Tensor) -> None:
        nonlocal passes
        passes += 1
        if step not in (None, passes):
            original(engine, loss)
            return

        def damage(gradient: torch.Tensor) -> torch.Tensor:
            damaged = gradient.clone()
            damaged.view(-1)[-1] = float(value)
            return damaged

        handle = dict(engine._engine.module.named_parameters())[name].register_hook(damage)
        original(engine, loss)
        handle.remove()

    with mock.patch.object(Engine, "backward", backward):
        yield


def _asking_to_stop(rank: int, stop: list[int] | None) -> Callable[..., Any]:
    from snw_dist.predict.batches import make_batch

    passes = 0

    def make(*arguments: Any) -> Any:
        nonlocal passes
        passes += 1
        if stop == [rank, passes]:
            os.kill(os.getpid(), signal.SIGUSR2)
        return make_batch(*arguments)

    return make
