"""The portable state of training: named parameters with their float32 masters and Adam moments, in safetensors.

A file knows neither ZeRO stages nor how many ranks there were: it holds pieces, consecutive elements of a parameter
counted in its flattened form. Every rank writes the pieces it holds, without a word to the others, and reads from all
files the elements it needs. Nothing here is a pickle, and nothing here knows DeepSpeed.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from hpc.disk.files import write_new
from hpc.errors import CorruptError
from snw_dist.train.finite import extreme

KINDS = ("master", "exp_avg", "exp_avg_sq")
_DTYPES = {torch.float32: "F32", torch.uint8: "U8"}


@dataclass(frozen=True)
class Piece:
    """Elements `start` to `start + count` of a parameter, and where a rank holds them."""

    name: str
    start: int
    count: int
    owner: torch.Tensor
    """[...] float32: the tensor in which they lie, one dimension or more: what the optimiser steps."""
    offset: int
    """Position of the first one in the flattened `owner`."""

    def view(self, tensor: torch.Tensor) -> torch.Tensor:
        """The piece's elements of `owner`, or of a moment of the same shape: [count]."""
        return tensor.detach().view(-1)[self.offset : self.offset + self.count]


@dataclass(frozen=True)
class Snapshot:
    """A copy of what one rank writes, on the CPU, that training does not change any more."""

    tensors: Mapping[str, torch.Tensor]
    """`master`, `exp_avg`, `exp_avg_sq`: [elements] float32, all pieces one after another; `random_*`: uint8."""
    pieces: Sequence[tuple[str, int, int]]
    """Name, start and count of each piece."""


def share(pieces: Sequence[Piece], rank: int, world_size: int) -> list[Piece]:
    """Of pieces that every rank holds, the consecutive elements that this one writes: one `world_size`-th of all."""
    total = sum(piece.count for piece in pieces)
    first, last = rank * total // world_size, (rank + 1) * total // world_size
    own, position = [], 0
    for piece in pieces:
        low, high = max(first - position, 0), min(last - position, piece.count)
        if low < high:
            start, offset = piece.start + low, piece.offset + low
            own.append(dataclasses.replace(piece, start=start, count=high - low, offset=offset))
        position += piece.count
    return own


def snapshot(pieces: Sequence[Piece], adam: torch.optim.Optimizer) -> Snapshot:
    """Copy the pieces and this rank's random state; moments that do not exist before the first step are zeros."""
    tensors = _random_state()
    for kind in KINDS:
        parts = [_part(piece, adam, kind) for piece in pieces]
        tensors[kind] = torch.cat(parts).cpu() if parts else torch.zeros(0)
    return Snapshot(tensors, [(piece.name, piece.start, piece.count) for piece in pieces])


def write_snapshot(folder: Path, rank: int, state: Snapshot) -> list[str]:
    """Write one rank's file; its name, as a list.

    Raises `CorruptError` naming the first parameter whose weights or moments are not finite: a loss that is, and
    gradients that are, do not keep them so, and nothing could go on from there.
    """
    for kind in KINDS:
        if (name := _not_finite(state.tensors[kind], state.pieces)) is not None:
            raise CorruptError(f"{kind} of {name!r} is not finite, though loss and gradients were; this is not saved")
    name = file_name(rank)
    write_new(folder / name, _safetensors(state.tensors, {"pieces": json.dumps(state.pieces)}))
    return [name]


def _not_finite(values: torch.Tensor, pieces: Sequence[tuple[str, int, int]]) -> str | None:
    """The parameter of the first of `values`, [elements] piece after piece, that is not finite; None if all are."""
    if not len(values) or math.isfinite(extreme(values)):
        return None
    place, ends = int(torch.isfinite(values).logical_not().nonzero()[0]), itertools.accumulate(p[2] for p in pieces)
    return next(name for (name, _, _), end in zip(pieces, ends, strict=True) if place < end)


def _safetensors(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> Iterator[bytes | memoryview]:
    """The parts of a safetensors file. Its own writer hands all to the system at once (`hpc.ranks.background`)."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    position = 0
    ordered = sorted(tensors.items(), key=lambda item: -item[1].element_size())  # so that all are aligned
    for name, tensor in ordered:
        end = position + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": _DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [position, end]}
        position = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    yield from (memoryview(tensor.numpy()) for _, tensor in ordered)  # type: ignore[arg-type]


def read_into(
    folder: Path, num_files: int, pieces: Sequence[Piece], adam: torch.optim.Optimizer, adam_step: int
) -> None:
    """Fill masters and moments of `pieces` from the files of a verified checkpoint; the moments are made here.

    Raises `CorruptError` when an element is in none of the files.
    """
    for owner in {id(piece.owner): piece.owner for piece in pieces}.values():
        adam.state[owner] = {
            "step": torch.tensor(float(adam_step), device=owner.device if adam.defaults["fused"] else None),
            **{kind: torch.zeros_like(owner, requires_grad=False) for kind in KINDS[1:]},
        }
    wanted: dict[str, list[Piece]] = {}
    for piece in pieces:
        wanted.setdefault(piece.name, []).append(piece)
    missing = sum(piece.count for piece in pieces)
    for rank in range(num_files):
        missing -= _read_file(folder / file_name(rank), wanted, adam)
    if missing:
        raise CorruptError(f"{folder}: {missing} elements of the network are in none of its {num_files} files")


def restore_random_state(folder: Path, num_files: int, rank: int, world_size: int, seed: int, step: int) -> None:
    """Continue this rank's random numbers, or begin new ones where another number of ranks wrote the checkpoint.

    The new ones are drawn from (seed, step, rank) and from nothing else, so that every such start is the same. Raises
    `CorruptError` for a file that has none.
    """
    if num_files != world_size:
        words = np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)
        torch.manual_seed(int(words[0]))
        return
    path = folder / file_name(rank)
    try:
        with safe_open(path, framework="pt") as file:
            torch.set_rng_state(file.get_tensor("random_cpu"))
            if "random_cuda" in file.keys() and torch.cuda.is_available():  # noqa: SIM118 - it is no mapping
                torch.cuda.set_rng_state(file.get_tensor("random_cuda"))
    except (SafetensorError, OSError, TypeError, RuntimeError) as error:
        raise CorruptError(f"{path}: not a state of training ({type(error).__name__}: {error})") from None


def _read_file(path: Path, wanted: Mapping[str, Sequence[Piece]], adam: torch.optim.Optimizer) -> int:
    """Copy what is wanted out of one file; how many elements that was."""
    num_read = 0
    try:
        with safe_open(path, framework="pt") as file:
            slices = {kind: file.get_slice(kind) for kind in KINDS}
            for piece, skip, first, last in _overlaps(json.loads(file.metadata()["pieces"]), wanted):
                for kind, saved in slices.items():
                    values = saved[first:last]
                    if _not_finite(values, [(piece.name, first, last - first)]) is not None:
                        raise CorruptError(f"{path}: {kind} of {piece.name!r} is not finite; start from an older one")
                    _part(piece, adam, kind)[skip : skip + last - first].copy_(values)
                num_read += last - first
    except (SafetensorError, OSError, LookupError, TypeError, ValueError) as error:
        raise CorruptError(f"{path}: not a state of training ({type(error).__name__}: {error})") from None
    return num_read


def _overlaps(
    saved: Sequence[tuple[str, int, int]], wanted: Mapping[str, Sequence[Piece]]
) -> Iterator[tuple[Piece, int, int, int]]:
    """For saved pieces that lie one after another: (piece, position in it, first and last position in the file)."""
    position = 0
    for name, start, count in saved:
        for piece in wanted.get(name, ()):
            low, high = max(start, piece.start), min(start + count, piece.start + piece.count)
            if low < high:
                yield piece, low - piece.start, position + low - start, position + high - start
        position += count


def _part(piece: Piece, adam: torch.optim.Optimizer, kind: str) -> torch.Tensor:
    """The piece's elements of the masters or of a moment: [count]; zeros where there is no moment yet."""
    if kind == "master":
        return piece.view(piece.owner)
    state = adam.state.get(piece.owner)
    return piece.view(state[kind]) if state else torch.zeros(piece.count, device=piece.owner.device)


def _random_state() -> dict[str, torch.Tensor]:
    state = {"random_cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["random_cuda"] = torch.cuda.get_rng_state()
    return state


def file_name(rank: int) -> str:
    """Of the file that a rank writes into a checkpoint."""
    return f"state_{rank:05d}.safetensors"
