"""What tensors the files of weights hold: names, types and shapes; the numbers are read when they are asked for.

What a file is, its first bytes say, not its name. Nothing is unpickled beyond tensors.
"""

from __future__ import annotations

import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from hpc.disk.reading import BadFileError, open_regular, parse_json
from hpc.errors import CorruptError, InputError
from hpc.machine.transfer import read_to
from snw_dist.embedding.weights.files import WeightFiles
from snw_dist.embedding.weights.keys import FORMS, few, in_a_line, unwrapped

_TYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
_MAPPED = {"cpu"}
"""Devices on which files are mapped. For a GPU mapped pages would stay in the memory of a rank that needs them once."""
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_NOT_WEIGHTS = {
    b"version https://git-lfs": "a pointer of git LFS, not the weights: run `git lfs pull` in that folder, or fetch "
    "them with hf download",
    b"<": "a web page, not weights: it is what a server sends in place of a file, for one without a log-in. Fetch it "
    "again",
    b"\x1f\x8b": "compressed by gzip: unpack it first",
    b"\xfd7zXZ": "compressed by xz: unpack it first",
    b"\x28\xb5\x2f\xfd": "compressed by zstd: unpack it first",
}


@dataclass(frozen=True)
class Stored:
    """A tensor in a file."""

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[torch.device], torch.Tensor]
    """Gives the tensor, [...] as `shape` says, on a device."""


def stored_tensors(found: WeightFiles) -> dict[str, Stored]:
    """Every tensor of the files by its name there; only names, types and shapes are read.

    Raises `InputError` for a file of another kind, `CorruptError` for one that is damaged.
    """
    tensors: dict[str, Stored] = {}
    for file in found.files:
        here = _of_safetensors(file) if _is_safetensors(_first_bytes(file)) else _of_pickle(file)
        if twice := sorted(tensors.keys() & here.keys()):
            raise InputError(f"{file}: {few(twice[:1])} is also in another file of {found.path}: which one counts?")
        tensors |= here
    return tensors


def _first_bytes(file: Path) -> bytes:
    """The beginning of a file of weights; raises where it cannot be one."""
    try:
        descriptor = open_regular(file)
        try:
            head, size = os.read(descriptor, 64), os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if size < 16:
        raise CorruptError(f"{file}: has only {size} bytes. Fetch it again")
    if _is_safetensors(head) or head.startswith((_ZIP, _PICKLE)):
        return head
    for start, reason in _NOT_WEIGHTS.items():
        if head.lstrip().startswith(start):
            raise InputError(f"{file}: {reason}")
    raise InputError(f"{file}: neither safetensors nor a state dict of torch (it begins with {head[:8]!r}). {FORMS}")


def _is_safetensors(head: bytes) -> bool:
    """Eight bytes say the length of the JSON that follows, which is below 100 MB."""
    return head[4:9] == b"\0\0\0\0{"


def _of_safetensors(file: Path) -> dict[str, Stored]:
    try:
        opened: Any = safe_open(file, framework="pt")
        places, tensors = _places(file), {}
        for name in opened.keys():  # noqa: SIM118
            part = opened.get_slice(name)
            shape, dtype = tuple(part.get_shape()), _TYPES.get(part.get_dtype(), part.get_dtype())
            read = _Reader(opened, name, file, *places[name], shape, dtype).read
            tensors[name] = Stored(shape, dtype, read)
        return tensors
    except (OSError, BadFileError, SafetensorError) as error:
        raise CorruptError(f"{file}: not a safetensors file ({in_a_line(str(error))})") from None


def _places(file: Path) -> dict[str, tuple[int, int]]:
    """The first byte and the number of bytes of each tensor, in a file that safetensors has found to be right."""
    with file.open("rb") as opened:
        size = int.from_bytes(opened.read(8), "little")
        header = parse_json(opened.read(size), str(file))
    offsets = {name: tensor["data_offsets"] for name, tensor in header.items() if name != "__metadata__"}
    return {name: (8 + size + first, stop - first) for name, (first, stop) in offsets.items()}


@dataclass(frozen=True)
class _Reader:
    """One tensor of a safetensors file."""

    opened: Any
    name: str
    file: Path
    first: int
    num_bytes: int
    shape: tuple[int, ...]
    dtype: str

    def read(self, device: torch.device) -> torch.Tensor:
        """[...] as `shape` says; raises `CorruptError` where the file has changed since it was looked at."""
        if device.type in _MAPPED:
            mapped: torch.Tensor = self.opened.get_tensor(self.name)
            return mapped
        try:
            read = read_to(device, self.file, self.first, self.num_bytes)
        except (OSError, EOFError) as error:
            raise CorruptError(f"{self.file}: {self.name} cannot be read ({in_a_line(str(error))})") from None
        return read.view(getattr(torch, self.dtype)).view(self.shape)


def _of_pickle(file: Path) -> dict[str, Stored]:
    tensors = unwrapped(_loaded(file), file)
    for name, tensor in tensors.items():
        num_bytes = tensor.numel() * tensor.element_size()
        # One number may be shown as a billion of them, of which a copy would fill the memory.
        plain = tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
        if not plain or tensor.untyped_storage().nbytes() < num_bytes:
            raise InputError(f"{file}: {few([name])} is not a plain tensor with all its numbers. {FORMS}")
    return {
        name: Stored(tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."), tensor.detach().to)
        for name, tensor in tensors.items()
    }


def _loaded(file: Path) -> Any:
    """What torch finds in a file: mapped where it is a zip archive, in memory where it is of the time before."""
    is_zip = _first_bytes(file).startswith(_ZIP)
    try:
        if is_zip and not _is_state(zipfile.ZipFile(file).namelist()):
            raise InputError(
                f"{file}: a zip archive, but not a state dict of torch (a TorchScript, or packed files). {FORMS}"
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old forms of pickles, which are refused or read in any case
            return torch.load(file, map_location="cpu", weights_only=True, mmap=is_zip)
    except pickle.UnpicklingError as error:
        named = re.search(r"(?i)global:? (?:GLOBAL )?([\w.]+)", str(error))
        what = f"{named[1]} among it" if named else "no tensors of torch"
        raise InputError(
            f"{file}: not a state dict of the esm package: it holds more than tensors ({what}), and nothing else is "
            f"unpickled. Save model.state_dict() in a file of its own. {FORMS}"
        ) from None
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - what a reader of pickles raises at damaged bytes has no common kind
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise CorruptError(f"{file}: not a state dict of the esm package ({in_a_line(reason)})") from None


def _is_state(names: list[str]) -> bool:
    ends = {name.rpartition("/")[2] for name in names}
    return "data.pkl" in ends and "constants.pkl" not in ends
