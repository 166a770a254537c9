"""The commands that a user has, and the preflight of ranks, on a CUDA device."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from hpc.errors import ExitCode
from tests.kit.ranks import run_ranks

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data" / "mhc_binding"
TOLERANCE = 2e-2
"""Of the loss in bf16 after a resume: some of CUDA's sums have no fixed order."""
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.commands,
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


def test_embed_train_resume_and_evaluate(tmp_path: Path) -> None:
    """In bf16 and ZeRO stage 2; other arithmetics and stages are in `test_training_on_cuda`, without commands."""
    run = Run(tmp_path, precision="bf16", zero_stage=2)
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
    assert worst <= TOLERANCE
    run.launch("evaluate")


@pytest.mark.skipif(torch.cuda.device_count() != 1, reason="needs exactly one CUDA device")
def test_two_ranks_on_one_device_are_refused(tmp_path: Path) -> None:
    for rank in run_ranks("nothing", 2, {}, tmp_path, device="cuda"):
        assert rank.returncode == ExitCode.ENVIRONMENT, rank.log
        assert "has 2 ranks" in rank.outcome["message"], rank.outcome
