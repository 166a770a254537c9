"""State dicts as training frameworks save them: read as the esm package reads its own, or refused for what they are."""

from __future__ import annotations

import io
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from transformers import (
    EsmcForSequenceClassification,
    EsmcForTokenClassification,
    EsmcModel,
)

from hpc.errors import CorruptError
from snw_dist.embedding.weights.read import load_weights
from tests.kit.weights_tools import (
    FORMS,
    WIDTH,
    State,
    assert_same,
    esm_rows,
    folder_model,
    refused,
    rows_of,
    transformers_rows,
)


def renamed(state: State, change: Callable[[str], str]) -> State:
    return {change(name): tensor for name, tensor in state.items()}


READ: dict[str, Callable[[State], Any]] = {
    "module.": lambda s: renamed(s, lambda name: f"module.{name}"),
    "_orig_mod.": lambda s: renamed(s, lambda name: f"_orig_mod.{name}"),
    "module._orig_mod.": lambda s: renamed(s, lambda name: f"module._orig_mod.{name}"),
    "compiled by block": lambda s: renamed(s, lambda name: name.replace(".attn.", "._orig_mod.attn.")),
    "fsdp": lambda s: renamed(s, lambda name: name.replace("blocks.", "_fsdp_wrapped_module.blocks.")),
    "model.esmc.": lambda s: renamed(s, lambda name: f"model.esmc.{name}"),
    "state_dict": lambda s: {"state_dict": renamed(s, lambda name: f"model.{name}"), "epoch": 3},
    "model": lambda s: {"model": s, "optimizer": {"state": {0: {"step": torch.tensor(3)}}}, "step": torch.tensor(3)},
    "module of DeepSpeed": lambda s: {"module": s, "ds_version": "0.19"},
    "twice": lambda s: {"state_dict": {"model": s}},
    "_extra_state": lambda s: s | {"transformer.blocks.0.attn.layernorm_qkv._extra_state": torch.zeros(0)},
    "_extra_state of None": lambda s: s | {"transformer.blocks.0.attn.layernorm_qkv._extra_state": None},
    "parameters": lambda s: {name: nn.Parameter(tensor) for name, tensor in s.items()},
    "float64": lambda s: {name: tensor.double() for name, tensor in s.items()},
}


@pytest.mark.parametrize("form", READ)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old"])
def test_wrappers_and_the_old_serialisation(tmp_path: Path, state: State, model: Any, form: str, zipped: bool) -> None:
    torch.save(READ[form](state), tmp_path / "esmc.pth", _use_new_zipfile_serialization=zipped)
    assert_same(rows_of(tmp_path / "esmc.pth"), esm_rows(model))


@pytest.mark.parametrize("kind", [EsmcModel, EsmcForSequenceClassification, EsmcForTokenClassification])
def test_other_heads(tmp_path: Path, kind: type[nn.Module]) -> None:
    folder_model(kind, num_labels=2).save_pretrained(tmp_path)
    assert_same(rows_of(tmp_path), transformers_rows(tmp_path))


def test_the_names_of_the_esm_package_in_safetensors(tmp_path: Path, state: State, model: Any) -> None:
    save_file(state, tmp_path / "plain.safetensors")
    assert_same(rows_of(tmp_path / "plain.safetensors"), esm_rows(model))


def itself() -> Any:
    value: dict[str, Any] = {}
    value["model"] = value
    return value


FOREIGN: dict[str, tuple[Callable[[State], Any], str]] = {
    "another model": (lambda s: {"bert.encoder.weight": torch.zeros(3)}, "but bert.encoder.weight"),
    "two encoders": (lambda s: renamed(s, lambda n: f"a.{n}") | renamed(s, lambda n: f"b.{n}"), "2 encoders"),
    "twice": (lambda s: s | renamed(s, lambda n: f"module.{n}"), "are the same tensor"),
    "lora": (lambda s: s | {"transformer.blocks.0.attn.out_proj.lora_A.weight": torch.zeros(3)}, "lora_A"),
    "bias": (lambda s: s | {"transformer.blocks.0.attn.out_proj.bias": torch.zeros(WIDTH)}, "out_proj.bias"),
    "beside it": (lambda s: renamed(s, lambda n: f"esmc.{n}") | {"prompt.weight": torch.zeros(3)}, "prompt.weight"),
    "two wrappers": (lambda s: {"model": s, "state_dict": s}, "more than one state dict"),
    "within itself": (lambda s: itself(), "not a state dict"),
    "whole module": (lambda s: nn.Linear(2, 2), "torch.nn.modules.linear.Linear"),
    "objects": (lambda s: s | {"x": io.BytesIO(b"x")}, "BytesIO"),
    "int8": (lambda s: s | {"embed.weight": s["embed.weight"].to(torch.int8)}, "type int8"),
    "a billion from one": (lambda s: s | {"embed.weight": torch.zeros(1).expand(64, 64 * 10**7)}, "embed.weight"),
    "sparse": (lambda s: s | {"embed.weight": s["embed.weight"].to_sparse()}, "embed.weight is not a plain tensor"),
    "nowhere": (lambda s: s | {"embed.weight": s["embed.weight"].to("meta")}, "embed.weight is not a plain tensor"),
    "vocabulary": (lambda s: s | {"embed.weight": s["embed.weight"][:33].clone()}, "embed.weight has shape (33, 64)"),
}


@pytest.mark.parametrize("form", FOREIGN)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old"])
def test_what_is_foreign_is_not_called_damaged(tmp_path: Path, state: State, form: str, zipped: bool) -> None:
    make, words = FOREIGN[form]
    torch.save(make(state), tmp_path / "esmc.pth", _use_new_zipfile_serialization=zipped)
    refused(tmp_path / "esmc.pth", str(tmp_path), words)


def test_a_zip_archive_of_something_else(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated, but there are such files
        torch.jit.save(torch.jit.script(nn.Linear(2, 2)), str(tmp_path / "a.pth"))
    refused(tmp_path / "a.pth", "TorchScript", FORMS)
    shutil.make_archive(str(tmp_path / "b"), "zip", tmp_path)
    refused(tmp_path / "b.zip", "a zip archive", FORMS)


def test_an_old_serialisation_that_is_cut_short(tmp_path: Path, state: State) -> None:
    file = tmp_path / "esmc.pth"
    torch.save(state, file, _use_new_zipfile_serialization=False)
    whole = file.read_bytes()
    for size in (20, 1000, len(whole) // 2, len(whole) - 5):
        file.write_bytes(whole[:size])
        with pytest.raises(CorruptError, match=str(file)):
            load_weights(str(file))
