"""Small files that results stand on: JSON that holds its own SHA-256, in the one form of bytes that it may have.

A changed bit is therefore seen anywhere in such a file, also where the JSON would still be valid.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpc.disk.files import atomic_write_bytes
from hpc.disk.reading import MOST_BYTES, BadFileError, parse_json, read_small

SEAL = "sha256"
"""The key of the digest of all the others."""


def sealed(content: Mapping[str, Any]) -> bytes:
    """The bytes of a sealed file; raises `ValueError` for numbers that JSON does not have."""
    return _canonical({**content, SEAL: hashlib.sha256(_canonical(content)).hexdigest()})


def write_sealed(path: Path, content: Mapping[str, Any]) -> None:
    """Publish the content, durably and atomically."""
    atomic_write_bytes(path, sealed(content))


def read_sealed(path: Path, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """The content of a sealed file, without its digest.

    Raises `BadFileError` naming the expected and the actual digest, or what is wrong, and `OSError` as `read_small`.
    """
    data = read_small(path, most_bytes)
    content = parse_json(data, str(path))
    if not isinstance(content, dict) or not isinstance(content.get(SEAL), str):
        raise BadFileError(f"{path}: not an object with its own {SEAL}")
    expected = content.pop(SEAL)
    actual = hashlib.sha256(_canonical(content)).hexdigest()
    if actual != expected:
        raise BadFileError(f"{path}: SHA-256 of the content {actual}, expected {expected[:64]!r}")
    if sealed(content) != data:
        raise BadFileError(f"{path}: SHA-256 of the content {actual} as expected, but not in the bytes it was written")
    return content


def _canonical(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()
