"""Jobs that train, or take steps of training; each leaves what it found in `job_folder`."""

import gc
import os
import shutil
import signal
import sys
import warnings
from pathlib import Path
from typing import Any

from hpc.job.runtime import Runtime
from tests.kit.jobs import Config, leave

TRAINING = "tests.kit.trainings:training"
"""The training job, as the tests start it."""


def training(config: dict[str, Any], runtime: Runtime) -> None:
    """The training job, where warnings are no errors: DeepSpeed's imports use what torch has deprecated."""
    from snw_dist.train.run import run_training

    with warnings.catch_warnings():
        warnings.simplefilter("default")
        run_training(config, runtime)


def training_killed_at_its_first_export(config: dict[str, Any], runtime: Runtime) -> None:
    from snw_dist.train import best_weights

    best_weights.write_export = lambda *_: signal.raise_signal(signal.SIGKILL)
    training(config, runtime)


def trainings(config: Config, runtime: Runtime) -> None:
    """Several trainings, one after another in one process group; each may begin with another's checkpoint."""
    import torch

    linear = torch.nn.functional.linear
    for number, item in enumerate(config["trainings"]):
        if item["begin_with"] is not None:
            source, target = Path(item["begin_with"]), Path(item["checkpoints"])
            runtime.comm.on_rank_0(
                lambda source=source, target=target: str(shutil.copytree(source, target / source.name))
            )
        training(item["config"], runtime)
        torch.nn.functional.linear = linear  # DeepSpeed's stage 3 leaves its own there, which rounds otherwise
        gc.collect()  # the engine that has ended, which refers to itself
        leave(runtime, "trained", number)


def shared_losses(config: Config, runtime: Runtime) -> None:
    """Gradient of each loss over one batch that the ranks share, averaged as the engine does."""
    import numpy as np
    import torch
    import torch.distributed as dist

    from snw_dist.config import ModelSection
    from snw_dist.model.build import build_model
    from snw_dist.model.legal_losses import LOSSES
    from snw_dist.model.pair import Side
    from snw_dist.predict.batches import Target
    from snw_dist.train.balance import equal_parts, rank_share
    from snw_dist.train.objective import Objective

    comm, num_pairs = runtime.comm, config["num_pairs"]
    numbers = np.random.default_rng(3)
    ligand, receptor = (numbers.standard_normal((num_pairs, length, 8)).astype(np.float32) for length in (5, 9))
    label = numbers.integers(0, 5, num_pairs) / 4
    importance = numbers.uniform(0.2, 2.0, num_pairs)
    receptor_id = np.arange(num_pairs) % 2
    found: dict[str, Any] = {}
    for name, losses in LOSSES.items():
        for loss in losses:
            section = ModelSection(name=name, size="light", d_model=16, num_pooling_queries=2, dropout=0.0)
            model = build_model(section, 8, seed=1)
            lengths = np.full(num_pairs, 5), np.full(num_pairs, 9)
            parts = equal_parts(receptor_id, *lengths, comm.world_size, num_pairs)
            [(part, weight, most)] = rank_share(np.arange(num_pairs), importance, parts, comm.rank, comm.world_size)
            sides = []
            for states in (ligand, receptor[receptor_id]):
                mask = torch.ones(len(part), states.shape[1], dtype=torch.bool)
                every = torch.from_numpy(states[part]), mask, torch.arange(len(part))
                sides.append(Side(*every, (states.shape[1],) * len(part)))
            known = torch.from_numpy(label[part].astype(np.float32)), torch.from_numpy(part)
            target = Target(*known, torch.from_numpy(receptor_id[part]), torch.from_numpy(weight))
            value, own = Objective(loss, 2.0, 0.2, 0.5, "all").shared(model(*sides), target, most)
            value.backward()
            gradient = torch.cat(
                [torch.zeros(1), *(p.grad.flatten() for p in model.parameters() if p.grad is not None)]
            )
            dist.all_reduce(gradient)
            total = comm.sum(float(own)) / comm.world_size
            found[f"{name} {loss}"] = {"loss": total, "gradient": (gradient / comm.world_size).tolist()}
    leave(runtime, "losses", found)


def zero_stages(config: Config, runtime: Runtime) -> None:
    """Three steps of every network under one ZeRO stage: losses, and the weights they lead to."""
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # DeepSpeed's imports use what torch has deprecated
        leave(runtime, "trained", {name: _trained(name, config, runtime) for name in config["models"]})


def starved(config: Config, runtime: Runtime) -> None:
    """Rank 1 cannot make its shared buffer, as where `/dev/shm` is full; DeepSpeed goes on all the same."""
    import resource

    from snw_dist.train import shared_buffers
    from snw_dist.train.engine import prepare_deepspeed

    with warnings.catch_warnings():
        warnings.simplefilter("default")
        prepare_deepspeed(runtime.device)
    backend: Any = sys.modules["deepspeed.comm.torch"]
    build = backend.build_shm_op

    class Starved:
        def __getattr__(self, name: str) -> Any:
            return getattr(build(), name)

        def initialize(self, size: int, rank: int) -> None:
            operation = build()
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
            operation.initialize(size, rank)

    shared_buffers.MEET_S = 5.0
    if runtime.comm.rank == 1:
        backend.build_shm_op = Starved
    zero_stages({"models": ["siamese"], "stage": 0, "precision": "fp32"}, runtime)


def killed_before_mapping(config: Config, runtime: Runtime) -> None:
    """Make this rank's shared buffer; the other one is killed before it has."""
    from snw_dist.train import engine

    if runtime.comm.rank == 1:
        announce = engine.announce_buffer
        engine.announce_buffer = lambda: (announce(), os.kill(os.getpid(), signal.SIGKILL))
    zero_stages({"models": ["siamese"], "stage": 0, "precision": "fp32"}, runtime)


def _trained(name: Any, config: Config, runtime: Runtime) -> dict[str, Any]:
    import torch

    from snw_dist.config import ModelSection
    from snw_dist.model.build import build_model
    from snw_dist.model.legal_losses import loss_of
    from snw_dist.model.pair import Side
    from snw_dist.predict.batches import Target
    from snw_dist.train.engine import Engine, prepare_deepspeed
    from snw_dist.train.objective import Objective

    prepare_deepspeed(runtime.device)
    if config["precision"] == "fp16":  # slow on a CPU, which is why DeepSpeed does not offer it there
        from deepspeed.accelerator import get_accelerator

        get_accelerator().is_fp16_supported = lambda: True
    section = ModelSection(name=name, size="light", d_model=16, num_transformer_layers=1, num_conv_layers=1, dropout=0)
    engine = Engine(
        build_model(section, 8, seed=1), zero_stage=config["stage"], precision=config["precision"], micro_batch_size=4,
        accumulation_steps=1, learning_rate=1e-3, weight_decay=0.01, gradient_clipping=1.0, device=runtime.device,
    )  # fmt: skip
    mapped = [line for line in Path("/proc/self/maps").read_text().splitlines() if "/dev/shm/deepspeed_" in line]
    assert mapped
    assert all(line.endswith(" (deleted)") for line in mapped)  # they end with the ranks, however these end
    draw = torch.Generator().manual_seed(runtime.comm.rank)
    lengths = 6, 6, 6, 6 if runtime.comm.rank == 0 else 40  # one group of like length, and two
    mask = torch.arange(40) < torch.tensor(lengths)[:, None]
    ligand, receptor = (Side(torch.randn(4, 40, 8, generator=draw), mask, torch.arange(4), lengths) for _ in range(2))
    target = Target(
        torch.tensor([0.0, 1.0, 0.5, 0.2]), torch.arange(4), torch.zeros(4, dtype=torch.int64), torch.ones(4)
    )
    objective = Objective(loss_of(name, "auto"), 2.0, 0.1, 0.5, "all")
    losses, norms = [], []
    for _ in range(3):
        engine.set_learning_rate(1e-3)
        loss, own = objective.shared(engine(ligand, receptor), target, 4)
        engine.backward(loss)
        engine.step()
        losses.append(runtime.comm.sum(float(own)))
        norms.append(engine.gradient_norm)
    weights = engine.full_weights()
    flat = torch.cat([weights[key].flatten() for key in sorted(weights)]).tolist()
    return {"losses": losses, "norms": norms, "weights": flat}
