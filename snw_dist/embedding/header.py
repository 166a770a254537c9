"""What a part of the store says about itself: the attributes of its Zarr group, in bytes where no flip goes unseen.

The file is the canonical JSON of its content, and one of the attributes is a digest of the others. Damage is therefore
seen anywhere in it, also where the JSON would still be valid.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpc.errors import CorruptError, InputError
from hpc.files import atomic_write_bytes

FORMAT_VERSION = 2
GROUP = "zarr.json"


@dataclass(frozen=True)
class StoreHeader:
    """Attributes of the Zarr group of one part of a store."""

    encoder: Mapping[str, Any]
    """Name, description, weights, weights_sha256, layers, combine, arithmetic and window of the encoder."""
    logical_dtype: str
    d_model: int
    """Values in a row: the width of the encoder, for each of several layers side by side."""
    plan_digest: str
    """SHA-256 over the sequences and all settings that the rows depend on."""
    num_sequences: int
    num_shards: int
    num_residues: int
    shard_rows: int
    chunk_rows: int
    part: int = 0
    """0 for the store itself, then 1, 2, ... for what was appended."""
    first_sequence: int = 0
    """Sequences in the parts before."""
    format_version: int = FORMAT_VERSION
    complete: bool = False
    files: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of every other file of a complete part but the shards, by relative path."""

    @property
    def rows_digest(self) -> str:
        """SHA-256 of what decides the rows of a sequence; equal in all parts, and in stores of other sequences."""
        facts = {**encoder_identity(self.encoder), "logical_dtype": self.logical_dtype, "d_model": self.d_model}
        return hashlib.sha256(_canonical(facts)).hexdigest()

    def to_bytes(self) -> bytes:
        """The whole `zarr.json` of the group."""
        attributes = dataclasses.asdict(self)
        attributes["header_sha256"] = hashlib.sha256(_canonical(attributes)).hexdigest()
        return _canonical({"attributes": attributes, "node_type": "group", "zarr_format": 3})

    def write(self, part: Path) -> None:
        """Replace the attributes of a part, durably and atomically."""
        atomic_write_bytes(part / GROUP, self.to_bytes())


def encoder_identity(encoder: Mapping[str, Any]) -> dict[str, Any]:
    """The facts about an encoder that its rows depend on; a name or a path of the same weights is not one of them."""
    keys = ("weights_sha256", "layers", "combine", "arithmetic", "window_residues", "window_overlap")
    return {f"encoder.{key}": encoder[key] for key in keys}


def read_header(part: Path) -> StoreHeader:
    """Read the attributes; raises `InputError` when there is no store and `CorruptError` when it is not one of ours."""
    file = part / GROUP
    try:
        data = file.read_bytes()
        attributes = dict(json.loads(data)["attributes"])
        version = attributes.get("format_version")
        if version != FORMAT_VERSION:
            raise CorruptError(
                f"{file}: format version {version!r}, this program reads {FORMAT_VERSION}. Remove the "
                "store and embed again."
            )
        del attributes["header_sha256"]
        header = StoreHeader(**attributes)
    except FileNotFoundError:
        raise InputError(f"{part}: there is no embedding store. Make it with: python launch/embed.py") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptError(f"{file}: not the header of an embedding store ({error}). {REPAIR}") from None
    if header.to_bytes() != data:
        raise CorruptError(f"{file}: damaged, its content does not fit its own digest. {REPAIR}")
    return header


REPAIR = "Mend it: python launch/embed.py --repair"


def check_same_plan(part: Path, present: StoreHeader, wanted: StoreHeader) -> None:
    """Refuse to mix two encoders, layers, dtypes or inputs in one part."""
    old, new = (dataclasses.asdict(item) | encoder_identity(item.encoder) for item in (present, wanted))
    differences = [
        f"{key}: {old.get(key)!r} there, {new[key]!r} now"
        for key in new
        if key not in ("complete", "files", "encoder") and old.get(key) != new[key]
    ]
    if differences:
        raise InputError(
            f"{part}: made from other input or settings ({'; '.join(differences)}). Choose another store.path or "
            "run.name, or remove the folder to embed again."
        )


def _canonical(value: Any) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()
