"""What ESM C's tensors are called in the formats that people have, and what others have wrapped around them.

The two naming schemes are that of the `esm` package, which the hub's 6B of 2024-12 has with `esmc.` in front, and that
of transformers. Training frameworks put words of their own into the names, and the state dict into a larger one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hpc.errors import InputError

FORMS = (
    "Give a .pth file of the esm package, a transformers folder with config.json and model.safetensors, or a hub id "
    "such as biohub/ESMC-300M."
)
_AROUND = ("state_dict", "model_state_dict", "model", "module")  # of Lightning, of habit, of habit, of DeepSpeed
_MOST_AROUND = 4  # a hostile one may hold itself
_WITHIN = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}  # DDP, torch.compile, FSDP
_NOT_OF_THE_ENCODER = {
    *("sequence_head", "lm_head", "classifier", "score"),  # what stands on top of it
    *("rotary", "rotary_emb", "_extra_state"),  # computed anew; of TransformerEngine, empty
}


@dataclass(frozen=True)
class Naming:
    """What a format calls the tensors; `EsmcLayer`'s are one of its tensors each, or several below each other."""

    blocks: str
    embed: str
    norm: str
    layer: Mapping[str, tuple[str, ...]]
    mark: str
    """A tensor of a layer that only ESM C has under this name."""


ESM = Naming(
    "transformer.blocks",
    "embed.weight",
    "transformer.norm.weight",
    {
        "norm_weight": ("attn.layernorm_qkv.0.weight",),
        "norm_bias": ("attn.layernorm_qkv.0.bias",),
        "qkv": ("attn.layernorm_qkv.1.weight",),
        "q_norm": ("attn.q_ln.weight",),
        "k_norm": ("attn.k_ln.weight",),
        "out": ("attn.out_proj.weight",),
        "mlp_norm_weight": ("ffn.0.weight",),
        "mlp_norm_bias": ("ffn.0.bias",),
        "gate_up": ("ffn.1.weight",),
        "down": ("ffn.3.weight",),
    },
    "attn.q_ln.weight",
)
TRANSFORMERS = Naming(
    "layers",
    "embed_tokens.weight",
    "norm.weight",
    {
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
    },
    "self_attn.q_norm.weight",
)


def unwrapped(value: Any, file: Path) -> dict[str, torch.Tensor]:
    """The state dict, tensors [...] by name, in what a `.pth` file holds, of whatever it is a part.

    Raises `InputError` where there is none, or where something in it is neither a tensor nor empty.
    """
    for _ in range(_MOST_AROUND):
        inner = [key for key in _AROUND if isinstance(value, Mapping) and isinstance(value.get(key), Mapping)]
        if len(inner) > 1:
            raise InputError(
                f"{file}: holds more than one state dict, {few(inner)}: save the encoder's in its own file"
            )
        if inner:
            value = value[inner[0]]
    if not isinstance(value, Mapping) or not any(isinstance(item, torch.Tensor) for item in value.values()):
        what = f"it holds {few(map(str, value))}" if isinstance(value, Mapping) else f"it is a {type(value).__name__}"
        raise InputError(f"{file}: not a state dict of the esm package: {what}. {FORMS}")
    state = {key: item for key, item in value.items() if item is not None}
    for key, item in state.items():
        if not isinstance(key, str) or not isinstance(item, torch.Tensor):
            raise InputError(
                f"{file}: not a state dict of the esm package: {key!r} in it is no tensor, but of type "
                f"{type(item).__name__}. {FORMS}"
            )
    return state


@dataclass(frozen=True)
class Named:
    """The tensors of a file as ESM C has them."""

    naming: Naming
    names: Mapping[str, str]
    """From the name in the scheme to that in the file."""
    others: frozenset[str]
    """Names in the file that are not below the encoder's prefix."""


def recognised(names: Iterable[str], path: Path) -> Named:
    """Find the encoder among the tensors of a file; raises `InputError` where there is none, or more than one."""
    bare: dict[str, str] = {}
    for name in names:
        short = ".".join(part for part in name.split(".") if part not in _WITHIN)
        if short in bare:
            raise InputError(f"{path}: {few([name, bare[short]])} are the same tensor of ESM C: which one counts?")
        bare[short] = name
    encoders = sorted(
        {(number, match[1]) for number, mark in enumerate(_MARKS) for name in bare if (match := mark.fullmatch(name))}
    )
    if not encoders:
        raise InputError(f"{path}: holds no ESM C that this program knows, but {few(sorted(bare.values()))}. {FORMS}")
    if len(encoders) > 1:
        where = few(repr(prefix) for _, prefix in encoders)
        raise InputError(f"{path}: holds {len(encoders)} encoders, at {where}: save one in a file of its own. {FORMS}")
    [(number, prefix)] = encoders
    inside = {short.removeprefix(prefix): name for short, name in bare.items() if short.startswith(prefix)}
    return Named((ESM, TRANSFORMERS)[number], inside, frozenset(bare.values()) - frozenset(inside.values()))


_MARKS = [
    re.compile(rf"((?:.*\.)?){re.escape(naming.blocks)}\.\d+\.{re.escape(naming.mark)}")
    for naming in (ESM, TRANSFORMERS)
]


def is_needed(name: str) -> bool:
    """Whether a tensor could matter to the encoder's states: not one of a head, or that is computed anew."""
    return not _NOT_OF_THE_ENCODER.intersection(name.split("."))


def few(names: Iterable[str]) -> str:
    """The first of some names, in one line, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return (", ".join(map(in_a_line, names[:3])) or "nothing") + more


def in_a_line(text: str) -> str:
    """The beginning of a text from elsewhere, with escapes in place of what would make it more than a line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:300])
