"""Weights as bytes: a safetensors file is compared with the network that it is for before anything is allocated."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from safetensors import SafetensorError
from safetensors.torch import load, save

from hpc.disk.reading import MOST_BYTES, BadFileError, parse_json
from hpc.disk.strict import validated
from hpc.errors import CorruptError

_METADATA = "__metadata__"
_Count = Annotated[int, Field(strict=True, ge=0, lt=2**50)]


@dataclass(config=ConfigDict(extra="forbid"), frozen=True)
class _Entry:
    dtype: Literal["F32"]
    shape: list[_Count] = Field(max_length=8)
    data_offsets: list[_Count] = Field(min_length=2, max_length=2)


def to_bytes(weights: Mapping[str, torch.Tensor]) -> bytes:
    """The whole file of tensors [...], all in float32; equal weights are equal bytes."""
    return save({name: tensor.detach().cpu().float().contiguous() for name, tensor in weights.items()})


def shapes_of(data: bytes, source: str) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor; they are float32 and fill the file without gap and overlap.

    Raises `CorruptError` for anything else; nothing is allocated but what the header itself takes.
    """
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(len(data) - 8, MOST_BYTES):
        raise CorruptError(f"{source}: a header of {length:,} bytes, in a file of {len(data):,}")
    try:
        header: Any = parse_json(data[8 : 8 + length], f"{source}: header")
    except BadFileError as error:
        raise CorruptError(str(error)) from None
    if not isinstance(header, dict):
        raise CorruptError(f"{source}: the header is no object")
    header.pop(_METADATA, None)
    places, shapes = [], {}
    for name, values in header.items():
        if not isinstance(values, dict):
            raise CorruptError(f"{source}: header: {name[:80]!r} is no object")
        entry = validated(_Entry, values, f"{source}: header: {name[:80]!r}", refuse=CorruptError)
        first, last = entry.data_offsets
        if last - first != 4 * math.prod(entry.shape):
            raise CorruptError(f"{source}: {name[:80]!r}: {last - first:,} bytes for the shape {entry.shape}")
        places.append((first, last))
        shapes[name] = tuple(entry.shape)
    end = 0
    for first, last in sorted(places):
        if first != end:
            raise CorruptError(f"{source}: tensors overlap or leave a gap at byte {end:,}")
        end = last
    if end != len(data) - 8 - length:
        raise CorruptError(f"{source}: {len(data) - 8 - length:,} bytes of weights, the header speaks of {end:,}")
    return shapes


def check_shapes(found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]], source: str) -> None:
    """Raise `CorruptError` naming a tensor that differs, is missing or does not belong there."""
    differing = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
    if differing:
        name = differing[0]
        raise CorruptError(
            f"{source}: not the weights of the network that the export describes: {len(differing)} tensors differ, "
            f"such as {name[:80]!r}: {found.get(name, 'missing')}, expected {expected.get(name, 'none')}"
        )


def tensors_of(data: bytes, source: str) -> dict[str, torch.Tensor]:
    """The tensors [...] by name of a file whose shapes are checked; raises `CorruptError` where it is none."""
    try:
        tensors: dict[str, torch.Tensor] = load(data)
    except (SafetensorError, ValueError, RuntimeError) as error:
        raise CorruptError(f"{source}: not a safetensors file ({error})") from None
    return tensors
