"""Weights of 32 and 16 bits in every mode of the encoder and every precision of training."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from snw_dist.embedding.encoder import build_encoder
from snw_dist.embedding.esmc.tunable import TunableEsmc
from snw_dist.embedding.weights.read import LoadedWeights, load_weights
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
