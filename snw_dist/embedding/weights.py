"""Read ESM C weights in their public formats, check every tensor, and record their hash.

Formats: the `.pth` state dict of the `esm` package (2024), a transformers folder (`config.json` and
`model.safetensors`, also in several files), and a hub id, which is a transformers folder fetched beforehand: compute
nodes have no network.
Nothing is unpickled beyond tensors.
"""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from hpc.checkpoint import file_digest
from hpc.errors import CorruptError, EnvironmentProblem, InputError
from hpc.reading import read_json
from snw_dist.embedding.attention import HEAD_SIZE
from snw_dist.embedding.esmc import VOCABULARY_ROWS, EsmcLayer, EsmcShape, EsmcWeights

_PTH_LAYER = {
    "norm_weight": "attn.layernorm_qkv.0.weight",
    "norm_bias": "attn.layernorm_qkv.0.bias",
    "qkv": "attn.layernorm_qkv.1.weight",
    "q_norm": "attn.q_ln.weight",
    "k_norm": "attn.k_ln.weight",
    "out": "attn.out_proj.weight",
    "mlp_norm_weight": "ffn.0.weight",
    "mlp_norm_bias": "ffn.0.bias",
    "gate_up": "ffn.1.weight",
    "down": "ffn.3.weight",
}
_TRANSFORMERS_LAYER = {
    "norm_weight": ("input_layernorm.weight",),
    "norm_bias": ("input_layernorm.bias",),
    "qkv": ("self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight"),
    "q_norm": ("self_attn.q_norm.weight",),
    "k_norm": ("self_attn.k_norm.weight",),
    "out": ("self_attn.o_proj.weight",),
    "mlp_norm_weight": ("post_attention_layernorm.weight",),
    "mlp_norm_bias": ("post_attention_layernorm.bias",),
    "gate_up": ("mlp.gate_proj.weight", "mlp.up_proj.weight"),
    "down": ("mlp.down_proj.weight",),
}
_NOT_NEEDED = (
    "sequence_head.",
    "lm_head.",
    "rotary",
)  # the language-model head and the computed rotary buffers


@dataclass(frozen=True)
class LoadedWeights:
    """Weights with what a result must say about them."""

    weights: EsmcWeights
    sha256: str
    source: str


def locate_weights(name: str, revision: str | None) -> Path:
    """The local file or folder of `weights`; a hub id is looked up in the cache, then fetched.

    Raises `InputError` when there is no such file, and `EnvironmentProblem` when the hub cannot be reached.
    """
    path = Path(name)
    if path.is_file() or path.is_dir():
        return path
    if path.exists():
        raise InputError(f"encoder.weights: {name}: neither a regular file nor a folder")
    if name.startswith(("/", ".")) or name.endswith(".pth") or name.count("/") != 1:
        raise InputError(
            f"encoder.weights: {name}: no such file or folder. Give a .pth file of the esm package, a transformers "
            "folder with config.json and model.safetensors, or a hub id such as biohub/ESMC-300M."
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=["*.json", "*.safetensors"]))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise EnvironmentProblem(
            f"encoder.weights: {name} is neither a local path nor in the hub's cache, and cannot be fetched: "
            f"{reason}. Fetch it once where there is network (hf download), then give the folder or set HF_HOME."
        ) from None


def load_weights(name: str, revision: str | None = None, expected_sha256: str | None = None) -> LoadedWeights:
    """Load ESM C weights; `InputError`, `EnvironmentProblem` and `CorruptError` name the file and the tensor."""
    path = locate_weights(name, revision)
    digest = weights_digest(path)
    if expected_sha256 is not None and digest != expected_sha256:
        raise CorruptError(f"{path}: SHA-256 is {digest}, but encoder.sha256 asks for {expected_sha256}")
    weights = _from_transformers(path) if path.is_dir() else _from_pth(path)
    return LoadedWeights(weights, digest, f"{name}@{revision}" if revision else name)


def read_shape(name: str, revision: str | None) -> EsmcShape:
    """Sizes of the model in a weight file, without reading or hashing the weights."""
    path = locate_weights(name, revision)
    if path.is_dir():
        config = _read_config(path)
        try:
            return EsmcShape(*(int(config[k]) for k in ("hidden_size", "num_hidden_layers", "intermediate_size")))
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptError(
                f"{path / 'config.json'}: says no width, layers or intermediate size ({error})"
            ) from None
    return _from_pth(path).shape  # mapped, so only the names and shapes are read


def weights_digest(path: Path) -> str:
    """SHA-256 of the weight file; of several files, SHA-256 over the lines "name digest" in the order of names."""
    files = _safetensors_files(path) if path.is_dir() else [path]
    if len(files) == 1:
        return file_digest(files[0])
    lines = [f"{file.name} {file_digest(file)}\n" for file in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def tiny_random_weights(
    d_model: int = 128, num_layers: int = 2, intermediate: int = 256, seed: int = 0
) -> LoadedWeights:
    """A small ESM C with fixed random weights, the same on every machine; for demonstrations and tests only."""
    generator = np.random.default_rng(seed)

    def normal(*shape: int) -> torch.Tensor:
        values = generator.standard_normal(shape, dtype=np.float32) / np.sqrt(shape[-1], dtype=np.float32)
        return torch.from_numpy(values)

    ones, zeros = torch.ones(d_model), torch.zeros(d_model)
    embed = normal(VOCABULARY_ROWS, d_model) * d_model**0.5
    layers = tuple(
        EsmcLayer(
            ones, zeros, normal(3 * d_model, d_model), ones, ones, normal(d_model, d_model) * 0.1,
            ones, zeros, normal(2 * intermediate, d_model), normal(d_model, intermediate) * 0.1,
        )
        for _ in range(num_layers)
    )  # fmt: skip
    weights = EsmcWeights(embed, layers, ones)
    state = hashlib.sha256()
    for tensor in [embed, *(t for layer in layers for t in vars(layer).values()), ones]:
        state.update(tensor.numpy().astype("<f4").tobytes())
    return LoadedWeights(weights, state.hexdigest(), f"random, seed {seed}")


def _from_pth(path: Path) -> EsmcWeights:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise CorruptError(f"{path}: not a state dict of the esm package ({reason})") from None
    if not isinstance(state, Mapping) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in state.items()
    ):
        raise CorruptError(f"{path}: not a state dict of the esm package (something in it is not a tensor)")
    names = {key: (value,) for key, value in _PTH_LAYER.items()}
    return _build(
        path,
        set(state),
        state.__getitem__,
        "embed.weight",
        "transformer.blocks",
        names,
        "transformer.norm.weight",
    )


def _from_transformers(folder: Path) -> EsmcWeights:
    config = _read_config(folder)
    tensors: dict[str, torch.Tensor] = {}
    for file in _safetensors_files(folder):
        try:
            with safe_open(file, framework="pt") as opened:
                tensors |= {key.removeprefix("esmc."): opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise CorruptError(f"{file}: not a safetensors file ({error})") from None
    names = _TRANSFORMERS_LAYER
    weights = _build(folder, set(tensors), tensors.__getitem__, "embed_tokens.weight", "layers", names, "norm.weight")
    stated = (config.get("hidden_size"), config.get("num_hidden_layers"), config.get("num_attention_heads"))
    found = (weights.d_model, len(weights.layers), weights.num_heads)
    if stated != found:
        raise CorruptError(f"{folder}: config.json says width, layers, heads {stated}, the tensors say {found}")
    return weights


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config = dict(read_json(folder / "config.json"))
    except (OSError, ValueError, TypeError) as error:
        raise CorruptError(f"{folder / 'config.json'}: cannot be read ({error})") from None
    if config.get("model_type") != "esmc":
        raise InputError(f"{folder}: model_type is {config.get('model_type')!r}, not 'esmc'")
    return config


def _safetensors_files(folder: Path) -> list[Path]:
    index = folder / "model.safetensors.index.json"
    if index.exists():
        try:
            names = {os.fspath(name) for name in read_json(index)["weight_map"].values()}
            if any(name != Path(name).name for name in names):
                raise ValueError("a name that leads out of the folder")
            files = sorted(folder / name for name in names)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CorruptError(f"{index}: not the index of a model in several files ({error!r})") from None
    else:
        files = [folder / "model.safetensors"]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise InputError(f"encoder.weights: {folder}: no {', '.join(missing)} in this folder")
    return files


def _build(
    path: Path,
    keys: set[str],
    get: Callable[[str], torch.Tensor],
    embed: str,
    blocks: str,
    layer_names: Mapping[str, tuple[str, ...]],
    norm: str,
) -> EsmcWeights:
    """Assemble the weights; every tensor must be there, and none may be left over unread."""
    num_layers = len({key.split(".")[blocks.count(".") + 1] for key in keys if key.startswith(blocks + ".")})
    used: set[str] = set()

    def take(*names: str) -> torch.Tensor:
        absent = [name for name in names if name not in keys]
        if absent:
            raise CorruptError(f"{path}: no tensor {', '.join(absent)}; this is not a whole ESM C")
        used.update(names)
        parts = [get(name) for name in names]
        if len({part.shape for part in parts}) > 1:
            raise CorruptError(f"{path}: {', '.join(names)} have different shapes {[tuple(p.shape) for p in parts]}")
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    layers = tuple(
        EsmcLayer(**{part: take(*(f"{blocks}.{i}.{n}" for n in names)) for part, names in layer_names.items()})
        for i in range(num_layers)
    )
    weights = EsmcWeights(take(embed), layers, take(norm))
    unread = sorted(key for key in keys - used if not any(word in key for word in _NOT_NEEDED))
    if unread or not layers or weights.d_model % HEAD_SIZE:
        raise CorruptError(
            f"{path}: not the ESM C this program knows (width {weights.d_model}, {num_layers} layers, unread tensors: "
            f"{unread[:3]})"
        )
    _check_shapes(path, weights)
    return weights


def _check_shapes(path: Path, weights: EsmcWeights) -> None:
    """A tensor of another shape is named here, not by a failure of the first forward pass on a node."""
    width, inner = weights.d_model, weights.layers[0].down.shape[-1]
    matrices = {
        "qkv": (3 * width, width),
        "out": (width, width),
        "gate_up": (2 * inner, width),
        "down": (width, inner),
    }
    tensors = {"embed": weights.embed, "final_norm": weights.final_norm}
    tensors |= {f"layer {i}: {part}": t for i, block in enumerate(weights.layers) for part, t in vars(block).items()}
    for name, tensor in tensors.items():
        wanted = (VOCABULARY_ROWS, width) if name == "embed" else matrices.get(name.rpartition(" ")[2], (width,))
        if tuple(tensor.shape) != wanted:
            raise CorruptError(f"{path}: {name} has shape {tuple(tensor.shape)}, expected {wanted}")
