"""A network of one parameter beside the same one of many, each trained by DeepSpeed on this rank's pairs."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch

from hpc.job.runtime import Runtime
from snw_dist.config import ModelSection, Precision
from snw_dist.model.build import build_model
from snw_dist.model.losses import contrastive_loss
from snw_dist.model.pair import Side
from snw_dist.train import engine as module
from snw_dist.train.engine import Engine, prepare_deepspeed
from snw_dist.train.portable import write_snapshot
from tests.kit.jobs import leave

SECTION = ModelSection(name="siamese", size="light", d_model=16, num_transformer_layers=1, num_conv_layers=1, dropout=0)
CASES: list[tuple[int, Precision]] = [(0, "fp32"), (1, "fp32"), (2, "fp32"), (0, "bf16"), (1, "bf16"), (2, "bf16")]


def flat_and_plain(_: dict[str, Any], runtime: Runtime) -> None:
    """What `tests/distributed/test_flat_networks.py` compares, of every case."""
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # DeepSpeed's imports use what torch has deprecated
        prepare_deepspeed(runtime.device)
        leave(
            runtime,
            "flat",
            {f"{stage} {precision}": _compared(stage, precision, runtime) for stage, precision in CASES},
        )


def _compared(stage: int, precision: Precision, runtime: Runtime) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for flat in (False, True):
        engine, kind = _engine(stage, precision, flat, runtime), "flat" if flat else "plain"
        found[kind] = {"num_parameters": len(list(engine._engine.module.parameters())), "norms": []}
        found[kind]["losses"] = [_step(engine, found[kind]["norms"], runtime) for _ in range(3)]
        folder = runtime.job_folder / f"{stage}-{precision}-{kind}"
        folder.mkdir(exist_ok=True)
        write_snapshot(folder, runtime.comm.rank, engine.snapshot())
        runtime.comm.barrier()
        found[kind]["read"] = [_read(folder, engine, other, precision, not flat, runtime) for other in (0, 1, 2)]
        found[kind]["next"] = _step(engine, [], runtime)
        _step(engine, [], runtime, factor=float("nan"))
        found[kind]["suspect"] = engine.suspect and engine.suspect.name
    return found


def _engine(stage: int, precision: Precision, flat: bool, runtime: Runtime) -> Engine:
    module.may_be_flat = lambda *_: flat  # type: ignore[assignment]
    return Engine(
        build_model(SECTION, 8, seed=1), zero_stage=stage, precision=precision, micro_batch_size=4,
        accumulation_steps=1, learning_rate=1e-3, weight_decay=0.01, gradient_clipping=0.1, device=runtime.device,
    )  # fmt: skip


def _step(engine: Engine, norms: list[float], runtime: Runtime, factor: float = 1.0) -> float:
    draw, lengths = torch.Generator().manual_seed(runtime.comm.rank), (6, 7, 9, 40)
    mask = torch.arange(40) < torch.tensor(lengths)[:, None]
    sides = (Side(torch.randn(4, 40, 8, generator=draw), mask, torch.arange(4), lengths) for _ in range(2))
    loss = contrastive_loss(engine(*sides).distance, torch.tensor([0.0, 1.0, 0.5, 0.2]), 2.0).mean()
    engine.backward(loss * factor)
    engine.step()
    norms.append(engine.gradient_norm)
    return runtime.comm.sum(float(loss))


def _read(folder: Path, written: Engine, stage: int, precision: Precision, flat: bool, runtime: Runtime) -> Any:
    """Another engine takes up the state, in any stage: whether its weights are the same, and its next loss."""
    engine = _engine(stage, precision, flat, runtime)
    engine.load(folder, written.facts(), runtime.comm)
    weights, expected = engine.full_weights(), written.full_weights()
    same = weights.keys() == expected.keys() and all(torch.equal(weights[key], expected[key]) for key in expected)
    return {"same": same, "facts": engine.facts() == written.facts(), "next": _step(engine, [], runtime)}
