"""The export of a run: the weights for use, with all that is needed to use them; no optimiser state, no pickle."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import nn

from hpc.errors import CorruptError, InputError
from hpc.files import atomic_write_bytes
from snw_dist.config import ModelSection, config_from_dict
from snw_dist.embedding.esmc import EsmcShape
from snw_dist.embedding.header import StoreHeader
from snw_dist.model.build import build_model, size_of
from snw_dist.train.tuning import with_encoder


def write_export(
    folder: Path,
    weights: Mapping[str, torch.Tensor],
    model: ModelSection,
    store: StoreHeader,
    facts: Mapping[str, Any],
) -> None:
    """Replace the export by these weights; one file holds both weights and description, so they never mix.

    `facts` say `tuned_encoder` of a network with ESM C in front: the sizes of that, and the rank of its updates.
    """
    folder.mkdir(parents=True, exist_ok=True)
    description = {
        "model": dataclasses.asdict(model) | dataclasses.asdict(size_of(model)),
        "d_input": store.d_model,
        "encoder": dict(store.encoder),
        **facts,
    }
    text = json.dumps(description, sort_keys=True)
    tensors = {name: tensor.contiguous() for name, tensor in weights.items()}
    atomic_write_bytes(folder / "config.json", json.dumps(description, indent=2, sort_keys=True).encode())
    atomic_write_bytes(folder / "model.safetensors", save_safetensors(tensors, {"description": text}))


def read_export(folder: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The network in evaluation mode, and its description.

    Raises `InputError` when there is no export, `CorruptError` when it cannot be read.
    """
    file = folder / "model.safetensors"
    if not file.exists():
        raise InputError(f"{file}: there is no trained model. Make one with: python launch/train.py")
    try:
        data = file.read_bytes()
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        description = json.loads(header["__metadata__"]["description"])
        tensors = load_safetensors(data)
        section = config_from_dict({"model": description["model"]}, str(file)).model
        model = build_model(section, description["d_input"], seed=0)
        if "tuned_encoder" in description:
            model = _with_blank_encoder(model, description)
        model.load_state_dict(tensors)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise CorruptError(f"{file}: not an export of this program ({error})") from None
    return model.eval(), description


def _with_blank_encoder(network: nn.Module, description: Mapping[str, Any]) -> nn.Module:
    tuned = description["tuned_encoder"]
    return with_encoder(network, EsmcShape(**tuned["shape"]).blank(), description["encoder"], tuned["rank"])


def check_same_encoder(description: Mapping[str, Any], store: StoreHeader, path: Path) -> None:
    """Refuse embeddings of another encoder than the network was trained on."""
    if any(description["encoder"][key] != store.encoder[key] for key in ("weights_sha256", "layers", "combine")):
        raise InputError(
            f"{path}: the store was made by {store.encoder['description']} "
            f"({store.encoder['weights_sha256'][:12]}), but the network was trained on "
            f"{description['encoder']['description']} "
            f"({description['encoder']['weights_sha256'][:12]}). Embed with the same encoder."
        )
