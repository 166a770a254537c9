"""Arrays in one file that says of itself what it holds: a safetensors file whose header has the SHA-256 of the numbers.

The header of such a file is JSON, and the numbers follow as they are. Equal content is equal bytes. A file appears as a
whole, so one that was left by a kill does not exist.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from hpc.disk.files import atomic_write_bytes
from hpc.disk.reading import BadFileError, parse_json, read_small
from hpc.errors import CorruptError

_MOST_BYTES = 1 << 34
_MOST_HEADER = 1 << 20
_RECORD = "record"
_DTYPES = {"F32": "<f4", "F16": "<f2"}
Arrays = dict[str, NDArray[Any]]
"""Name -> [...] numbers."""


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> None:
    """Publish arrays [...] with plain data that says what they are; the folder is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    packed = {name: np.ascontiguousarray(values) for name, values in arrays.items()}
    record = {**facts, "sha256": _digest(packed)}
    atomic_write_bytes(path, save_safetensors(packed, {_RECORD: json.dumps(record, sort_keys=True)}))


def read_arrays(path: Path, facts: Mapping[str, Any]) -> Arrays:
    """The arrays of a file with these facts.

    Raises `CorruptError` where the file is missing, damaged, or one of other facts.
    """
    try:
        data = read_small(path, _MOST_BYTES)
        header = parse_json(data[8 : 8 + int.from_bytes(data[:8], "little")], str(path))
        record = parse_json(str(header["__metadata__"][_RECORD]), str(path))
        arrays = load_safetensors(data)
        expected = record.pop("sha256")
    except (OSError, BadFileError, SafetensorError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise _corrupt(path, f"cannot be read ({type(error).__name__})") from None
    if record != dict(facts):
        raise _corrupt(path, f"holds {record}, not {dict(facts)}")
    if _digest(arrays) != expected:
        raise _corrupt(path, "its SHA-256 is another one")
    return arrays


def mapped(path: Path, name: str) -> NDArray[Any]:
    """One array [...] of a file that stays on disk; nothing of it is compared with its SHA-256.

    Raises `CorruptError` where the header cannot be read.
    """
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = parse_json(file.read(min(size, _MOST_HEADER)), str(path))
        entry = header[name]
        dtype = _DTYPES[entry["dtype"]]
        start = 8 + size + entry["data_offsets"][0]
        return np.memmap(path, dtype=dtype, mode="r", offset=start, shape=tuple(entry["shape"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _corrupt(path, f"cannot be read ({type(error).__name__})") from None


def _digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    sha = hashlib.sha256()
    for name in sorted(arrays):
        values = arrays[name]
        sha.update(f"{name} {values.dtype.str} {values.shape}\n".encode())
        sha.update(values.data.cast("B") if values.size else b"")
    return sha.hexdigest()


def _corrupt(path: Path, reason: str) -> CorruptError:
    return CorruptError(f"{path}: damaged: {reason}. Start the same command again: it is made anew.")
