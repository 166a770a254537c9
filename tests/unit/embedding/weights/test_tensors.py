"""Weights of 32 and 16 bits in every mode of the encoder and every precision of training."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from hpc.errors import CorruptError
from snw_dist.embedding.encoder import build_encoder
from snw_dist.embedding.esmc.tunable import TunableEsmc
from snw_dist.embedding.weights import read as read_module
from snw_dist.embedding.weights import tensors
from snw_dist.embedding.weights.files import weight_files
from snw_dist.embedding.weights.read import LoadedWeights, load_weights
from snw_dist.embedding.weights.tensors import stored_tensors
from tests.kit.weights_tools import (
    CPU,
    LAYERS,
    SEQUENCES,
    TOKENS,
    esm_model,
    folder_model,
)


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, LoadedWeights]:
    """One model's weights as files of each type and form."""
    root, loaded = tmp_path_factory.mktemp("typed"), {}
    state = esm_model().state_dict()
    for name, dtype in DTYPES.items():
        torch.save({key: tensor.to(dtype) for key, tensor in state.items()}, root / f"{name}.pth")
        folder_model().to(dtype).save_pretrained(root / name)
        loaded |= {f"{name}.pth": load_weights(str(root / f"{name}.pth")), name: load_weights(str(root / name))}
    return loaded


DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("mode", ["frozen", "lora", "full"])
@pytest.mark.parametrize("form", [f"{name}{end}" for name in DTYPES for end in ("", ".pth")])
def test_every_type_of_weights_in_every_mode_and_precision(
    typed: dict[str, LoadedWeights], form: str, mode: str, precision: Any
) -> None:
    loaded = typed[form]
    assert loaded.weights.embed.dtype == DTYPES[form.removesuffix(".pth")]
    expected = build_encoder("esmc", loaded, CPU, "fp32", [-1], "concat", 99).embed(SEQUENCES[:1])
    close = 1e-4 if precision == "fp32" else 0.1
    if mode == "frozen":
        rows = build_encoder("esmc", loaded, CPU, precision, [-1], "concat", 99).embed(SEQUENCES[:1])
        torch.testing.assert_close(rows, expected, atol=close, rtol=close)
        return
    network = TunableEsmc(loaded.weights, [LAYERS], "concat", 2 if mode == "lora" else None)
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}  # else small steps are lost
    network.to(DTYPES[precision])  # what DeepSpeed does
    residues = torch.tensor([[TOKENS[letter] for letter in SEQUENCES[0]]])
    [states] = network((residues, torch.ones_like(residues, dtype=torch.bool)))
    torch.testing.assert_close(states[0].float(), expected, atol=close, rtol=close)
    states.float().square().sum().backward()
    trained = {name for name, parameter in network.named_parameters() if parameter.grad is not None}
    assert trained == {name for name, _ in network.named_parameters() if mode == "full" or ".updates." in name}


@pytest.mark.parametrize("name", DTYPES)
def test_reading_gives_what_the_mapped_file_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A file is read for a GPU; here to the processor."""
    folder_model().to(DTYPES[name]).save_pretrained(tmp_path)
    stored = stored_tensors(weight_files(tmp_path))
    mapped = {key: tensor.read(CPU) for key, tensor in stored.items()}
    monkeypatch.setattr(tensors, "_MAPPED", set())
    assert len(mapped) > 20
    for key, expected in mapped.items():
        read = stored[key].read(CPU)
        assert (read.dtype, read.shape) == (expected.dtype, expected.shape)
        assert torch.equal(read, expected)


def test_weights_that_are_cut_after_they_were_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder_model().save_pretrained(tmp_path)
    stored = stored_tensors(weight_files(tmp_path))
    os.truncate(tmp_path / "model.safetensors", 5000)
    monkeypatch.setattr(tensors, "_MAPPED", set())
    with pytest.raises(CorruptError, match=r"model\.safetensors: .* cannot be read \(it ends at byte 5,000\)"):
        [tensor.read(CPU) for tensor in stored.values()]


def test_a_layer_is_read_when_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else all layers would be in memory before the first is on its device."""
    folder_model().save_pretrained(tmp_path)
    read: list[int] = []
    layer = read_module._Stored.layer

    def counted(self: Any, number: int, device: torch.device) -> Any:
        read.append(number)
        return layer(self, number, device)

    monkeypatch.setattr(read_module._Stored, "layer", counted)
    layers = load_weights(str(tmp_path)).weights.layers
    assert (len(layers), len(layers[:1]), read) == (LAYERS, 1, [])
    for number, one in enumerate(layers[1:], start=1):
        assert read[-1] == number
        assert torch.equal(one.out, layers[number].out)
    with pytest.raises(IndexError):
        layers[LAYERS]
