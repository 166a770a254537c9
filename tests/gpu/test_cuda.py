"""What only a CUDA device can show; these are the only tests that may be skipped, and only where there is none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from snw_dist.embedding.attention import PackedLengths, attend, grouped_attention
from snw_dist.embedding.batch_size import MOST_TOKENS, measured_tokens_per_batch
from snw_dist.embedding.encoder import build_encoder
from snw_dist.embedding.esmc import PackedEsmc, tokenize
from snw_dist.embedding.reference import check_parity
from snw_dist.embedding.weights import tiny_random_weights

CUDA = torch.device("cuda", 0)
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
    tokens, lengths = tokenize(SEQUENCES)
    expected = PackedEsmc(weights, torch.device("cpu"), torch.float32).forward(tokens, lengths)
    actual = PackedEsmc(weights, CUDA, dtype).forward(tokens, lengths).float().cpu()
    assert (actual - expected).abs().max() <= tolerance * expected.abs().max()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_packed_esmc_equals_transformers_on_the_same_device(dtype: torch.dtype) -> None:
    """The gate of `embed --verify-encoder`, at the widths of the 300M and the 600M model."""
    for width, inner in ((960, 2560), (1152, 3072)):
        weights = tiny_random_weights(width, 2, inner).weights
        parity = check_parity(PackedEsmc(weights, CUDA, dtype), weights, SEQUENCES)
        assert parity.num_sequences == len(SEQUENCES)


def test_the_variable_length_kernel_equals_one_call_for_each_length() -> None:
    lengths = [5, 5, 9, 200, 201, 2048]
    packed = PackedLengths.of(lengths, CUDA)
    q, k, v = (torch.randn(sum(lengths), 960, device=CUDA, dtype=torch.bfloat16) for _ in range(3))
    difference = attend(q, k, v, packed).float() - grouped_attention(q, k, v, packed).float()
    assert difference.abs().max() < 0.05


def test_a_batch_that_does_not_fit_the_gpu_is_halved() -> None:
    loaded = tiny_random_weights(960, 1, 2560)
    encoder = build_encoder("esmc-tiny-random", loaded, CUDA, "bf16", [-1], "concat", 2048)
    sequences = ["ACDEFGHIKL" * 30] * 400
    expected = encoder.embed(sequences[:1])
    limit = torch.cuda.memory_reserved(CUDA) + 500 * 2**20
    torch.cuda.set_per_process_memory_fraction(limit / torch.cuda.get_device_properties(CUDA).total_memory)
    try:
        encoder.tokens_per_batch = 10**6
        rows = encoder.embed(sequences)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert encoder.tokens_per_batch < 10**6
    assert (rows.view(400, 300, 960) - expected).abs().max() <= 0.05 * expected.abs().max()


def test_the_batch_is_measured_on_the_gpu() -> None:
    model = PackedEsmc(tiny_random_weights(960, 2, 2560).weights, CUDA, torch.bfloat16)
    few, many = (measured_tokens_per_batch(model, sharing) for sharing in (64, 1))
    assert 2048 <= few <= many <= MOST_TOKENS["cuda"]


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

    def steps() -> list[int]:
        records = [json.loads(line) for line in metrics.read_text().splitlines()]
        return [record["step"] for record in records if record["kind"] != "save"]

    whole = steps()
    last = sorted((tmp_path / "runs" / "gpu" / "checkpoints").glob("step_*/manifest.json"))[-1]
    last.unlink()
    launch("train", "--zero", str(zero))
    assert steps() == whole
    launch("evaluate")
