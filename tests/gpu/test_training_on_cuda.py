"""Training, resume, evaluation and the preflight on a CUDA device, through the launchers and as ranks."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal, get_args

import pytest
import torch

from hpc.errors import ExitCode
from snw_dist.config import ModelName, ModelSection, Precision, SnwConfig
from snw_dist.model.build import build_model
from snw_dist.model.pair import Side
from tests.bench.elastic import STAGES, Case, Setting, differences, embedded, name_of
from tests.kit.ranks import run_ranks

CUDA = torch.device("cuda", 0)
ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data" / "mhc_binding"
TOLERANCE = {"fp32": 1e-4, "bf16": 2e-2, "fp16": 2e-2}
"""Of the loss after a resume: some of CUDA's sums have no fixed order."""
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]


class Run:
    """A run of its own folder, by the commands that a user has."""

    def __init__(self, folder: Path, **train: Any) -> None:
        self.folder = folder
        pairs = (DATA / "pairs.csv").read_text().splitlines()
        (folder / "pairs.csv").write_text("\n".join([pairs[0], *pairs[1::12]]) + "\n")
        self.config: dict[str, Any] = {
            "run": {"name": "gpu"},
            "data": {key: str(DATA / f"{key}.fasta") for key in ("ligands", "receptors")}
            | {"pairs": "pairs.csv", "columns": {"binary": "binds"}},
            "encoder": {"device": "cuda"},
            "model": {"d_model": 32, "num_conv_layers": 1, "num_transformer_layers": 1, "embedding_size": 32},
            "train": {"device": "cuda", "max_steps": 30, "save_every": 10, "validate_every": 10, **train},
            "evaluate": {"bootstrap": 10, "controls": []},
            "cluster": {"cluster": "local"},
        }
        (folder / "SNW_config.json").write_text(json.dumps(self.config))

    def launch(self, command: str, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, str(ROOT / "launch" / f"{command}.py"), *arguments],
            cwd=self.folder, capture_output=True, text=True, timeout=280, env=dict(os.environ),
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def records(self) -> list[dict[str, Any]]:
        lines = (self.folder / "runs" / "gpu" / "metrics.jsonl").read_text().splitlines()
        return [record for record in map(json.loads, lines) if record["kind"] != "save"]

    def forget_the_last_save(self) -> None:
        sorted((self.folder / "runs" / "gpu" / "checkpoints").glob("step_*/manifest.json"))[-1].unlink()


@pytest.mark.parametrize(("precision", "zero"), [("fp32", 0), ("bf16", 2), ("fp16", 3)])
def test_embed_train_resume_and_evaluate(tmp_path: Path, precision: str, zero: int) -> None:
    run = Run(tmp_path, precision=precision, zero_stage=zero)
    run.launch("embed")
    assert "imported" in run.launch("doctor")
    run.launch("train")
    whole = run.records()
    run.forget_the_last_save()
    run.launch("train")
    again = run.records()
    assert [(record["kind"], record["step"]) for record in again] == [(r["kind"], r["step"]) for r in whole]
    worst = max(abs(a["loss"] / b["loss"] - 1) for a, b in zip(again, whole, strict=True))
    print(f"largest relative difference of a loss after the resume: {worst:.1e}")  # noqa: T201 - for whoever runs it
    assert worst <= TOLERANCE[precision]
    run.launch("evaluate")


def on_cuda(base: SnwConfig, **train: Any) -> SnwConfig:
    return dataclasses.replace(base, train=dataclasses.replace(base.train, device="cuda", **train))


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_the_loss_goes_on_from_any_stage_in_any_other(tmp_path: Path, precision: str) -> None:
    cases = [Case(Setting(1, source), Setting(1, target)) for source in STAGES for target in STAGES]
    found = differences(on_cuda(embedded(tmp_path, precision)), cases, 6, tmp_path)
    print({name_of(case): f"{value:.1e}" for case, value in found.items()})  # noqa: T201 - for whoever runs it
    assert max(found.values()) <= TOLERANCE[precision]


@pytest.mark.parametrize("mode", ["lora", "full"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_tuned_encoder_goes_on_in_another_stage(
    tmp_path: Path, mode: Literal["lora", "full"], precision: Precision
) -> None:
    cases = [Case(Setting(1, source), Setting(1, target)) for source, target in ((0, 0), (0, 3), (3, 2))]
    base = on_cuda(embedded(tmp_path, precision), encoder_mode=mode)
    found = differences(base, cases, 4, tmp_path)
    print({name_of(case): f"{value:.1e}" for case, value in found.items()})  # noqa: T201 - for whoever runs it
    assert max(found.values()) <= TOLERANCE[precision]


@pytest.mark.parametrize("name", get_args(ModelName))
def test_every_network_scores_and_learns_as_on_the_cpu(monkeypatch: pytest.MonkeyPatch, name: ModelName) -> None:
    section = dataclasses.replace(ModelSection(), name=name, dropout=0.0)
    model = build_model(section, 48, seed=1)
    generator = torch.Generator().manual_seed(1)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # on by default for convolutions, with three digits
    found = []
    sides = [
        (torch.tensor(lengths), torch.tensor(pairs))
        for lengths, pairs in (([8, 9, 30], [0, 1, 2, 2]), ([41, 180], [0, 0, 1, 1]))
    ]
    states = [torch.randn(len(lengths), int(lengths.max()), 48, generator=generator) for lengths, _ in sides]
    for device in (torch.device("cpu"), CUDA):
        placed = model.to(device)
        placed.zero_grad()
        batch = []
        for x, (lengths, pairs) in zip(states, sides, strict=True):
            mask = torch.arange(x.shape[1]) < lengths[:, None]
            if device.type == "cuda":  # as batches are made for it: nobody writes the padding
                x = x.masked_fill(~mask[..., None], torch.nan)
            batch.append(Side(x.to(device), mask.to(device), pairs.to(device)))
        output = placed(*batch)
        (output.score * torch.arange(1.0, 5.0, device=device)).sum().backward()
        gradient = torch.cat([p.grad.flatten().cpu() for p in placed.parameters() if p.grad is not None])
        found.append((output.score.detach().cpu(), gradient))
    torch.testing.assert_close(found[1][0], found[0][0], atol=1e-4, rtol=1e-4)
    assert (found[1][1] - found[0][1]).norm() <= 1e-3 * found[0][1].norm() + 1e-7


@pytest.mark.skipif(torch.cuda.device_count() != 1, reason="needs exactly one CUDA device")
def test_two_ranks_on_one_device_are_refused(tmp_path: Path) -> None:
    for rank in run_ranks("nothing", 2, {}, tmp_path, device="cuda"):
        assert rank.returncode == ExitCode.ENVIRONMENT, rank.log
        assert "has 2 ranks" in rank.outcome["message"], rank.outcome
