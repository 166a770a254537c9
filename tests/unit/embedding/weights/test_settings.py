"""config.json of a weights folder: its settings are ESM C's own, or refused; the reference reads them itself."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    EsmcConfig,
)

from hpc.errors import EnvironmentProblem
from snw_dist.embedding.esmc.packed import PackedEsmc
from snw_dist.embedding.weights.read import load_weights
from snw_dist.embedding.weights.reference import check_parity
from snw_dist.embedding.weights.settings import OWN, ROPE_TABLES, SIZES
from tests.kit.weights_tools import (
    CPU,
    SEQUENCES,
    assert_same,
    change_config,
    folder_model,
    refused,
    rows_of,
    transformers_rows,
)


def test_every_setting_of_transformers_is_known() -> None:
    """A later version with a setting that the forward pass depends on must not be read in part."""
    no_effect = {
        *("max_position_embeddings", "initializer_range", "tie_word_embeddings", "attention_dropout"),
        *("pad_token_id", "bos_token_id", "eos_token_id", "mask_token_id", "classifier_dropout"),
    }
    own = set(EsmcConfig.__annotations__) - {"model_type", "base_model_tp_plan", "base_model_pp_plan"}
    assert own <= {*OWN, *ROPE_TABLES, *SIZES, *no_effect}


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"rope_parameters": {"rope_theta": 500000.0, "rope_type": "default"}}, "rope_parameters.rope_theta"),
        (
            {"rope_parameters": {"rope_theta": 10000.0, "rope_type": "linear", "factor": 4.0}},
            "rope_parameters.rope_type",
        ),
        ({"rope_parameters": None, "rope_theta": 500000.0}, "rope_theta"),
        ({"rope_parameters": None, "rope_scaling": {"type": "dynamic", "factor": 2.0}}, "rope_scaling.type"),
        ({"rope_scaling": {"rope_theta": 1.0}}, "rope_scaling.rope_theta"),
        ({"rope_parameters": {"full_attention": {"rope_theta": 1e6}}}, "rope_parameters.full_attention"),
        ({"rope_parameters": {"rope_theta": 10000.0, "partial_rotary_factor": 0.5}}, "partial_rotary_factor"),
        ({"rope_parameters": "default"}, "rope_parameters"),
        ({"rope_theta": "10000"}, "rope_theta"),
        *(({"hidden_act": value}, "hidden_act") for value in ("gelu", "relu", None, ["silu"])),
        *(({"head_dim": value}, "head_dim") for value in (32, 128)),
        *(({key: True}, key) for key in ("attention_bias", "mlp_bias")),
        *(({"vocab_size": value}, "vocab_size") for value in (33, 65)),
        *(
            ({key: 3}, key)
            for key in ("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")
        ),
        *(({"intermediate_size": value}, "intermediate_size") for value in (3, "256", 1e300)),
        ({"quantization_config": {"load_in_8bit": True}}, "quantization_config"),
        ({"transformers_weights": "other.safetensors"}, "transformers_weights"),
        ({"model_type": "llama"}, "model_type"),
        ({"hidden_act": "x" * 10**6}, "hidden_act"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_setting_that_is_not_esm_cs_own_is_refused_by_its_key(
    folder: Path, settings: dict[str, Any], key: str
) -> None:
    refused(change_config(folder, **settings), str(folder), key)


@pytest.mark.parametrize(
    "settings",
    [
        {"rope_parameters": {"rope_theta": 10000, "rope_type": "default"}},
        {"rope_parameters": None, "rope_theta": 10000.0},
        {"head_dim": None, "num_key_value_heads": None, "hidden_act": "swish", "quantization_config": None},
        {"max_position_embeddings": 4096, "attention_dropout": 0.1, "something_new": [1]},
    ],
    ids=str,
)
def test_settings_that_change_nothing_are_taken(folder: Path, settings: dict[str, Any]) -> None:
    assert_same(rows_of(change_config(folder, **settings)), transformers_rows(folder))


def test_the_reference_reads_the_folder_itself(folder: Path) -> None:
    """It shares neither our settings nor our choice of files, so that a mistake in either is seen."""
    loaded = load_weights(str(folder))
    model = PackedEsmc(loaded.weights, CPU, torch.float32)
    assert check_parity(model, loaded, SEQUENCES).against_reference < 1e-5
    change_config(folder, rope_parameters={"rope_theta": 500000.0, "rope_type": "default"})
    with pytest.raises(EnvironmentProblem, match="differs from transformers' ESM C by"):
        check_parity(model, loaded, SEQUENCES)
    change_config(folder, rope_parameters=None)
    folder_model(seed=5).save_pretrained(folder)
    with pytest.raises(EnvironmentProblem, match="differs from transformers' ESM C by"):
        check_parity(model, loaded, SEQUENCES)
    short = {name: t for name, t in load_file(folder / "model.safetensors").items() if "layers.1.mlp" not in name}
    save_file(short, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(EnvironmentProblem, match=r"transformers does not find layers\.1\.mlp"):
        check_parity(model, loaded, SEQUENCES)
    shutil.rmtree(folder)
    with pytest.raises(EnvironmentProblem, match="transformers cannot read it"):
        check_parity(model, loaded, SEQUENCES)
