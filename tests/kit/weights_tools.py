"""Small ESM C in the files of the public packages, and what those packages make of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from esm.models.esmc import ESMC
from esm.tokenization import EsmSequenceTokenizer
from torch import nn
from transformers import EsmcConfig, EsmcForMaskedLM, EsmcModel

from hpc.errors import ExitCode, SnwError
from snw_dist.embedding.encoder import build_encoder
from snw_dist.embedding.weights.read import load_weights, read_shape

CPU = torch.device("cpu")
SEQUENCES = ["MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQ", "G", "XBUZOWY" * 8]
WIDTH, LAYERS, INNER = 64, 2, 256  # what the esm package makes of this width
FORMS = "a .pth file of the esm package, a transformers folder with config.json and model.safetensors, or a hub id"
TOKENS = {letter: 4 + i for i, letter in enumerate("LAGVSERTIDPKQNFYMHWCXBUZO")}
State = dict[str, torch.Tensor]


def randomized(model: nn.Module, seed: int) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=generator) * 0.1
        parameter.data = noise if parameter.ndim == 2 else noise + 1
    return model.eval()


def folder_model(kind: type[nn.Module] = EsmcForMaskedLM, seed: int = 0, **settings: Any) -> Any:
    sizes = {"hidden_size": WIDTH, "num_attention_heads": 1, "num_hidden_layers": LAYERS, "intermediate_size": INNER}
    return randomized(kind(EsmcConfig(**{**sizes, **settings})), seed)


def esm_model() -> Any:
    return randomized(ESMC(WIDTH, 1, LAYERS, EsmSequenceTokenizer(), use_flash_attn=False), 1)


def rows_of(path: Path) -> torch.Tensor:
    """The rows that the store gets; the check on the login node must have let it through."""
    loaded = load_weights(str(path))
    assert read_shape(str(path), None) == loaded.weights.shape
    return build_encoder("esmc", loaded, CPU, "fp32", [-1], "concat", 4096).embed(SEQUENCES)


@torch.inference_mode()
def transformers_rows(path: Path) -> torch.Tensor:
    model = EsmcModel.from_pretrained(path, dtype=torch.float32, local_files_only=True).eval()
    tokens = [torch.tensor([[0, *(TOKENS[letter] for letter in s), 2]]) for s in SEQUENCES]
    return torch.cat([model(one).last_hidden_state[0, 1:-1] for one in tokens])


@torch.inference_mode()
def esm_rows(model: Any) -> torch.Tensor:
    return torch.cat([model(model._tokenize([s])).embeddings[0, 1:-1] for s in SEQUENCES])


def assert_same(actual: torch.Tensor, expected: torch.Tensor) -> None:
    assert float((actual - expected).abs().max()) < 1e-5 * float(expected.abs().max())


def refused(path: Path | str, *words: str, code: ExitCode = ExitCode.BAD_INPUT) -> None:
    """In one line, on the login node already, where no tensor is read."""
    with pytest.raises(SnwError) as caught:
        read_shape(str(path), None)
    assert caught.value.exit_code == code, caught.value
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def change_config(folder: Path, **settings: Any) -> Path:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | settings))
    return folder
