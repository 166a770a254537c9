"""What only a CUDA device can show; these are the only tests that may be skipped, and only where there is none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from snw_dist.embedding.esmc import PackedEsmc, tokenize
from snw_dist.embedding.weights import tiny_random_weights

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data" / "mhc_binding"
SEQUENCES = ["ACDEFGHIK", "LMNPQRSTVWY", "LMNPQRSTVWA", "ACDEFGHIKLMNPQRSTVWY" * 12]
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-3), (torch.bfloat16, 5e-2)])
def test_packed_esmc_equals_the_cpu(dtype: torch.dtype, tolerance: float) -> None:
    weights = tiny_random_weights().weights
    tokens = [tokenize(sequence) for sequence in SEQUENCES]
    expected = PackedEsmc(weights, torch.device("cpu"), torch.float32).forward(tokens)
    actual = PackedEsmc(weights, torch.device("cuda"), dtype).forward(tokens).float().cpu()
    assert (actual - expected).abs().max() <= tolerance * expected.abs().max()


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("zero", [0, 1, 2, 3])
def test_embed_train_and_resume_on_cuda(tmp_path: Path, zero: int, precision: str) -> None:
    config = {
        "run": {"name": "gpu"},
        "data": {key: str(DATA / f"{key}.fasta") for key in ("ligands", "receptors")}
        | {"pairs": str(DATA / "pairs.csv"), "columns": {"binary": "binds"}},
        "encoder": {"device": "cuda"},
        "model": {"d_model": 32, "num_conv_layers": 1, "num_transformer_layers": 1, "embedding_size": 32},
        "train": {"device": "cuda", "max_steps": 30, "save_every": 10, "validate_every": 10, "precision": precision},
        "evaluate": {"bootstrap": 10, "controls": []},
        "cluster": {"cluster": "local"},
    }
    (tmp_path / "SNW_config.json").write_text(json.dumps(config))

    def launch(*arguments: str) -> None:
        command = [sys.executable, str(ROOT / "launch" / f"{arguments[0]}.py"), *arguments[1:]]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280, env=dict(os.environ))
        assert done.returncode == 0, done.stdout + done.stderr

    launch("embed")
    launch("train", "--zero", str(zero))
    metrics = tmp_path / "runs" / "gpu" / "metrics.jsonl"
    steps = [json.loads(line)["step"] for line in metrics.read_text().splitlines()]
    last = sorted((tmp_path / "runs" / "gpu" / "checkpoints").glob("step_*/manifest.json"))[-1]
    last.unlink()
    launch("train", "--zero", str(zero))
    assert [json.loads(line)["step"] for line in metrics.read_text().splitlines()] == steps
    launch("evaluate")
