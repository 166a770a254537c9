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
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field

from hpc.disk.files import atomic_write_bytes
from hpc.disk.reading import BadFileError, parse_json, read_small
from hpc.disk.strict import validated
from hpc.errors import CorruptError, InputError
from snw_dist.embedding.store.dtypes import stored_dtype
from snw_dist.embedding.store.layout import ShardLayout

FORMAT_VERSION = 2
GROUP = "zarr.json"
_WIDTH = "d_model"
"""What the width of a row is called in every store, and in the digests that it goes into."""

MOST_CHUNK_BYTES = 1 << 30
MOST_CHUNKS_OF_SHARD = 1 << 22
Count = Annotated[int, Field(strict=True, ge=0, lt=2**48)]
Size = Annotated[int, Field(strict=True, ge=1, lt=2**48)]
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_FileName = Annotated[str, Field(pattern=r"^[a-z_]+/(zarr\.json|c/[0-9]+(/0)?)$")]


@dataclass(frozen=True)
class StoreHeader:
    """Attributes of the Zarr group of one part of a store."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    encoder: Mapping[str, Any]
    """Name, description, weights, weights_sha256, layers, combine, arithmetic and window of the encoder."""
    logical_dtype: Annotated[str, Field(pattern=r"^(float32|float16|bfloat16)$")]
    row_width: Annotated[Size, Field(alias=_WIDTH)]
    """Values in a row: the width of the encoder, for each of several layers side by side."""
    plan_digest: str
    """SHA-256 over the sequences and all settings that the rows depend on."""
    num_sequences: Size
    num_shards: Size
    num_residues: Size
    shard_rows: Size
    chunk_rows: Size
    part: Count = 0
    """0 for the store itself, then 1, 2, ... for what was appended."""
    first_sequence: Count = 0
    """Sequences in the parts before."""
    format_version: int = FORMAT_VERSION
    complete: Annotated[bool, Field(strict=True)] = False
    files: Mapping[_FileName, _Sha256] = field(default_factory=dict)
    """SHA-256 of every other file of a complete part but the shards, by relative path."""

    @property
    def row_bytes(self) -> int:
        """Bytes of a row, as it is stored."""
        return self.row_width * stored_dtype(self.logical_dtype).itemsize

    @property
    def layout(self) -> ShardLayout:
        """The sizes of every shard."""
        return ShardLayout.of(self.shard_rows, self.chunk_rows, self.row_bytes)

    @property
    def row_settings(self) -> dict[str, Any]:
        """See `row_settings`."""
        return row_settings(self.encoder, self.logical_dtype, self.row_width)

    @property
    def rows_digest(self) -> str:
        """SHA-256 of what decides the rows of a sequence; equal in all parts, and in stores of other sequences."""
        return rows_digest(self.encoder, self.logical_dtype, self.row_width)

    def attributes(self) -> dict[str, Any]:
        """The fields by their names in the file."""
        return {_WIDTH if name == "row_width" else name: value for name, value in dataclasses.asdict(self).items()}

    def to_bytes(self) -> bytes:
        """The whole `zarr.json` of the group."""
        attributes = self.attributes()
        attributes["header_sha256"] = hashlib.sha256(_canonical(attributes)).hexdigest()
        return _canonical({"attributes": attributes, "node_type": "group", "zarr_format": 3})

    def write(self, part: Path) -> None:
        """Replace the attributes of a part, durably and atomically."""
        atomic_write_bytes(part / GROUP, self.to_bytes())


def rows_digest(encoder: Mapping[str, Any], logical_dtype: str, row_width: int) -> str:
    """See `StoreHeader.rows_digest`; for who has no store but knows of what encoder its rows are."""
    facts = {**encoder_identity(encoder), "logical_dtype": logical_dtype, _WIDTH: row_width}
    return hashlib.sha256(_canonical(facts)).hexdigest()


def encoder_identity(encoder: Mapping[str, Any]) -> dict[str, Any]:
    """The facts about an encoder that its rows depend on; a name or a path of the same weights is not one of them."""
    keys = ("weights_sha256", "layers", "combine", "arithmetic", "window_residues", "window_overlap")
    return {f"encoder.{key}": encoder[key] for key in keys}


def row_settings(encoder: Mapping[str, Any], logical_dtype: str, row_width: int) -> dict[str, Any]:
    """All that decides the rows of a sequence, by the names with which it goes into the digest of a plan."""
    return {**encoder_identity(encoder), "dtype": logical_dtype, _WIDTH: row_width}


def read_header(part: Path) -> StoreHeader:
    """Read the attributes; raises `InputError` when there is no store and `CorruptError` when it is not one of ours."""
    file = part / GROUP
    try:
        data = read_small(file)
        attributes = dict(parse_json(data, str(file))["attributes"])
        version = attributes.get("format_version")
        if version != FORMAT_VERSION:
            raise CorruptError(
                f"{file}: format version {version!r:.60}, this program reads {FORMAT_VERSION}. Remove the "
                "store and embed again."
            )
        del attributes["header_sha256"]
        header = validated(StoreHeader, attributes, str(file), CorruptError)
        encoder_identity(header.encoder)
        if problem := sizes_problem(header):
            raise BadFileError(problem)
    except FileNotFoundError:
        raise no_store(part) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptError(f"{file}: not the header of an embedding store ({error}). {REPAIR}") from None
    if header.to_bytes() != data:
        raise CorruptError(f"{file}: damaged, its content does not fit its own digest. {REPAIR}")
    return header


def no_store(part: Path) -> InputError:
    """The error for a folder without the attributes of a store, by what else is in it."""
    if (part / "residues").is_dir():
        return InputError(f"{part}: an embedding store without {GROUP}. {REPAIR}")
    if part.is_dir() and any(not path.name.startswith(".") for path in part.iterdir()):
        return InputError(f"{part}: holds something else than an embedding store. Choose another store.path.")
    return InputError(f"{part}: there is no embedding store. Make it with: snw-dist embed")


def sizes_problem(header: StoreHeader) -> str:
    """What is wrong with the sizes of shards and chunks, of which a reader holds some in memory; empty if nothing."""
    layout = header.layout
    if header.shard_rows % header.chunk_rows:
        return f"shards of {header.shard_rows:,} rows are not made of chunks of {header.chunk_rows:,}"
    if layout.chunk_bytes > MOST_CHUNK_BYTES:
        return f"chunks of {layout.chunk_bytes:,} bytes, more than {MOST_CHUNK_BYTES:,}"
    if layout.num_chunks > MOST_CHUNKS_OF_SHARD:
        return f"shards of {layout.num_chunks:,} chunks, more than {MOST_CHUNKS_OF_SHARD:,}"
    return ""


REPAIR = "Mend it: snw-dist embed --repair"


def check_same_plan(part: Path, present: StoreHeader, wanted: StoreHeader) -> None:
    """Raises `InputError` rather than mix two encoders, layers, dtypes or inputs in one part."""
    if other := differences(_planned(present), _planned(wanted)):
        raise InputError(
            f"{part}: made from other input or settings ({other}). Choose another store.path, or remove the folder to "
            "embed again."
        )


def _planned(header: StoreHeader) -> dict[str, Any]:
    """What is known of a part before it is filled, with the facts of the encoder that its rows depend on."""
    facts = header.attributes() | encoder_identity(header.encoder)
    return {key: value for key, value in facts.items() if key not in ("complete", "files", "encoder")}


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Each value of `new` that is another one in `old`, in words; empty where all are the same."""
    return "; ".join(f"{key}: {old[key]!r} there, {value!r} now" for key, value in new.items() if old[key] != value)


def _canonical(value: Any) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()
