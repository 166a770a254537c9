"""The fused kernels by Triton's interpreter, and the choice between them and the plain path."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from snw_dist.embedding.esmc import kernels, packed
from snw_dist.embedding.esmc.kernels import has_fused_kernels
from snw_dist.embedding.esmc.packed import PackedEsmc
from snw_dist.embedding.esmc.plain import PlainStack
from snw_dist.embedding.weights.read import tiny_random_weights

ROOT = Path(__file__).resolve().parents[4]
CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


def test_the_kernels_equal_the_plain_path() -> None:
    file = Path(__file__).with_name("interpreted.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)]
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


@pytest.fixture
def flash(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU that PyTorch's flash kernel runs on."""
    monkeypatch.setattr(kernels, "has_varlen_kernel", lambda device, dtype: True)
    has_fused_kernels.cache_clear()


@pytest.mark.usefixtures("flash")
def test_kernels_that_cannot_be_built_are_a_warning_once(caplog: pytest.LogCaptureFixture) -> None:
    """No GPU here, as on a node without a compiler: the plain path does it."""
    with caplog.at_level("WARNING"):
        assert not has_fused_kernels(CPU, torch.bfloat16)
        assert not has_fused_kernels(CPU, torch.bfloat16)
    (record,) = caplog.records
    assert "no fused kernels on cpu, so ESM C takes 1.5 times as long: Triton says" in record.message
    has_fused_kernels.cache_clear()


def test_who_takes_the_fused_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither processors nor float32 do; where they run, the whole model is made of them."""
    assert not has_fused_kernels(CPU, torch.bfloat16)
    assert not has_fused_kernels(CUDA, torch.float32)
    weights = tiny_random_weights().weights
    assert isinstance(PackedEsmc(weights, CPU, torch.float32)._stack, PlainStack)
    monkeypatch.setattr(packed, "has_fused_kernels", lambda device, dtype: True)
    assert type(PackedEsmc(weights, CPU, torch.bfloat16)._stack).__name__ == "FusedStack"
