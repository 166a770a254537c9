"""What the files of a training state say they hold, read and checked before any of it is used.

Only the header of a safetensors file is read, with a bound, and the few bytes of the random state. The pieces of all
files together must be the whole network, each element once: an overlap would hide what is missing.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass as plain_dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, StrictInt
from pydantic.dataclasses import dataclass

from hpc.disk.reading import open_regular, parse_json
from hpc.errors import CorruptError
from hpc.save.manifest import checked
from snw_dist.train.portable import KINDS

MOST_HEADER_BYTES = 8 * 2**20
MOST_RANDOM_BYTES = 2**16
MOST_ELEMENTS = 2**48
_ITEM_BYTES = {"F32": 4, "U8": 1}
_RANDOM = {"random_cpu": "cpu", "random_cuda": "cuda"}

Count = Annotated[StrictInt, Field(ge=0, le=MOST_ELEMENTS)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class _Tensor:
    dtype: str
    shape: Annotated[list[Count], Field(min_length=1, max_length=1)]
    data_offsets: tuple[Count, Count]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class _Metadata:
    pieces: str


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class _Header:
    metadata: _Metadata
    master: _Tensor
    exp_avg: _Tensor
    exp_avg_sq: _Tensor
    random_cpu: _Tensor
    random_cuda: _Tensor | None = None

    def tensors(self) -> dict[str, _Tensor]:
        return {name: item for name in (*KINDS, *_RANDOM) if (item := getattr(self, name)) is not None}


@plain_dataclass(frozen=True)
class _File:
    """A state file that is open."""

    path: Path
    descriptor: int
    size: int

    def read(self, start: int, count: int) -> bytes:
        data = os.pread(self.descriptor, count, start)
        if len(data) != count:
            raise CorruptError(f"{self.path}: ends after {start + len(data)} bytes")
        return data


def check_pieces(files: Sequence[Path], shapes: Mapping[str, Sequence[int]]) -> None:
    """Raise `CorruptError` unless the files hold every element of parameters of these shapes exactly once."""
    numbers = {name: number for number, name in enumerate(shapes)}
    elements = {name: math.prod(shape) for name, shape in shapes.items()}
    found = [_pieces_of(path, numbers, elements) for path in files]
    pieces = np.concatenate([*found, np.zeros((0, 3), np.int64)])
    name, start, end = pieces[:, 0], pieces[:, 1], pieces[:, 1] + pieces[:, 2]
    order = np.lexsort((start, name))
    name, start, end = name[order], start[order], end[order]
    held = np.bincount(name, weights=end - start, minlength=len(shapes))
    first = np.diff(name, prepend=-1) != 0
    ends_before = np.where(first, 0, np.roll(end, 1)) if len(end) else end
    for fault in np.flatnonzero(start != ends_before)[:1]:
        kind = "is in no file" if start[fault] > ends_before[fault] else "is in two pieces"
        position = min(start[fault], ends_before[fault])
        raise CorruptError(f"{files[0].parent}: element {position} of {list(shapes)[name[fault]]!r} {kind}")
    for parameter, number in numbers.items():
        if held[number] != elements[parameter]:
            raise CorruptError(
                f"{files[0].parent}: {held[number]:.0f} of the {elements[parameter]} elements of {parameter!r} are in "
                "its files"
            )


def _pieces_of(path: Path, numbers: Mapping[str, int], elements: Mapping[str, int]) -> NDArray[np.int64]:
    """The pieces of one file that are not empty: [pieces, 3] number of the parameter, first element, count."""
    try:
        descriptor = open_regular(path, follow_link=False)
        try:
            return _checked_file(_File(path, descriptor, os.fstat(descriptor).st_size), numbers, elements)
        finally:
            os.close(descriptor)
    except (OSError, ValueError, RuntimeError) as error:  # torch says RuntimeError of a random state that is none
        raise CorruptError(f"{path}: not a state of training ({type(error).__name__}: {error})") from None


def _checked_file(file: _File, numbers: Mapping[str, int], elements: Mapping[str, int]) -> NDArray[np.int64]:
    (length,) = struct.unpack("<Q", file.read(0, 8))
    if length > min(MOST_HEADER_BYTES, file.size - 8):
        raise ValueError(f"a header of {length:,} bytes in a file of {file.size:,}")
    values = parse_json(file.read(8, length), "header")
    if not isinstance(values, dict) or len(values) > len((*KINDS, *_RANDOM)) + 1:
        raise ValueError("a header of other tensors")
    values["metadata"] = values.pop("__metadata__", None)
    header = checked(_Header, values, file.path)
    _check_layout(header, file.size - 8 - length)
    for name, device in _RANDOM.items():
        tensor = header.tensors().get(name)
        if tensor is not None and (device == "cpu" or torch.cuda.is_available()):
            data = bytearray(file.read(8 + length + tensor.data_offsets[0], tensor.shape[0]))
            torch.Generator(device).set_state(torch.frombuffer(data, dtype=torch.uint8))
    pieces = _listed(parse_json(header.metadata.pieces, "pieces"), numbers, elements)
    if pieces[:, 2].sum() != header.master.shape[0]:
        raise ValueError(f"pieces of {pieces[:, 2].sum()} elements, and tensors of {header.master.shape[0]}")
    return pieces


def _check_layout(header: _Header, num_bytes: int) -> None:
    """Tensors of the right kind and equal size, which fill the file one after another."""
    end = 0
    for name, tensor in sorted(header.tensors().items(), key=lambda item: item[1].data_offsets):
        [count], (first, last) = tensor.shape, tensor.data_offsets
        if tensor.dtype != ("F32" if name in KINDS else "U8"):
            raise ValueError(f"{name} is not of the right type")
        if first != end or last - first != count * _ITEM_BYTES[tensor.dtype]:
            raise ValueError(f"{name} does not lie where it should")
        if name in KINDS and tensor.shape != header.master.shape:
            raise ValueError(f"{name} is not as long as master")
        if name in _RANDOM and not 0 < count <= MOST_RANDOM_BYTES:
            raise ValueError(f"{name} has {count} bytes")
        end = last
    if end != num_bytes:
        raise ValueError(f"tensors of {end} bytes, and {num_bytes} in the file")


def _listed(values: Any, numbers: Mapping[str, int], elements: Mapping[str, int]) -> NDArray[np.int64]:
    if not isinstance(values, list):
        raise ValueError("the pieces are no list")
    rows = []
    for item in values:
        if not isinstance(item, list) or [type(part) for part in item] != [str, int, int]:
            raise ValueError("a piece is not a name and two numbers")
        name, start, count = item
        if name not in numbers or not 0 <= start <= start + count <= elements[name]:
            raise ValueError("a piece of no parameter, or outside of it")
        if count:
            rows.append((numbers[name], start, count))
    return np.array(rows, np.int64).reshape(-1, 3)
