"""The settings in a weights folder's config.json: they are ESM C's own, or the folder is refused by their names.

This program computes ESM C as it was published. Other settings would give other states than transformers does from the
same folder; and the SHA-256 of a store is that of the tensors, which says nothing of settings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hpc.disk.reading import read_json
from hpc.errors import CorruptError, InputError
from snw_dist.embedding.esmc.architecture import ROPE_THETA, VOCABULARY_ROWS, EsmcShape
from snw_dist.embedding.esmc.attention import HEAD_SIZE
from snw_dist.embedding.weights.keys import FORMS, in_a_line

_MOST_SHOWN = 100  # letters of a wrong value
_ROPE: dict[str, tuple[Any, ...]] = {
    "rope_theta": (ROPE_THETA,),
    "rope_type": ("default",),
    "type": ("default",),
    "partial_rotary_factor": (None, 1),
}
OWN: dict[str, tuple[Any, ...]] = {
    "vocab_size": (VOCABULARY_ROWS,),
    "head_dim": (None, HEAD_SIZE),
    "hidden_act": ("swish", "silu"),
    "attention_bias": (False,),
    "mlp_bias": (False,),
    "rope_theta": (ROPE_THETA,),
    "partial_rotary_factor": (None, 1),
    "quantization_config": (None,),
    "transformers_weights": (None, "model.safetensors"),
}
"""What the forward pass, or the choice of the file, depends on, and the values that are ESM C's own."""
ROPE_TABLES = "rope_parameters", "rope_scaling"
SIZES = {
    "hidden_size": "d_model",
    "intermediate_size": "intermediate",
    "num_hidden_layers": "num_layers",
    "num_attention_heads": "num_heads",
    "num_key_value_heads": "num_heads",
    "d_model": "d_model",
    "n_layers": "num_layers",
    "n_heads": "num_heads",
}
"""From what transformers and the `esm` package call the sizes to what `EsmcShape` does."""


def read_settings(folder: Path) -> Mapping[str, Any]:
    """What config.json says; raises `InputError` where that is not ESM C's own, `CorruptError` where it is no JSON."""
    file = folder / "config.json"
    try:
        config = read_json(file)
    except (OSError, ValueError) as error:
        raise CorruptError(f"{file}: cannot be read ({in_a_line(str(error))})") from None
    if not isinstance(config, Mapping):
        raise CorruptError(f"{file}: cannot be read (no object with keys and values)")
    if str(config.get("model_type")).lower() != "esmc":
        raise InputError(f"{folder}: model_type is {_shown(config.get('model_type'))}, not 'esmc'. {FORMS}")
    wrong = [
        f"{key} is {_shown(value)}, and ESM C's own is {allowed[-1]!r}"
        for key, value, allowed in _stated(config)
        if value not in allowed
    ]
    if wrong:
        raise InputError(
            f"{file}: {'; '.join(wrong)}. This program computes ESM C as it was published: with other settings its "
            "rows would not be those of transformers. Give weights without that change."
        )
    return config


def check_sizes(folder: Path, config: Mapping[str, Any], shape: EsmcShape) -> None:
    """Raise `InputError` where config.json states another size than the tensors have."""
    for key, name in SIZES.items():
        stated, size = config.get(key), getattr(shape, name)
        if stated not in (size, None):
            text = f"{key} is {_shown(stated)}, but the tensors say {size}: is it of other weights?"
            raise InputError(f"{folder / 'config.json'}: {text}")


def _stated(config: Mapping[str, Any]) -> Iterator[tuple[str, Any, tuple[Any, ...]]]:
    """The settings that are stated: name, value, and what is allowed."""
    yield from ((key, config[key], allowed) for key, allowed in OWN.items() if key in config)
    for table in ROPE_TABLES:
        rope = config.get(table) or {}
        if not isinstance(rope, Mapping):
            yield table, rope, ({},)
            continue
        yield from ((f"{table}.{key}", rope[key], allowed) for key, allowed in _ROPE.items() if key in rope)
        # A table for each kind of layer; ESM C has one kind.
        yield from ((f"{table}.{key}", value, (None,)) for key, value in rope.items() if isinstance(value, Mapping))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + "..."
