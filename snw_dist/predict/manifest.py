"""What an export says of itself: every file with its size and SHA-256, and all that is needed to use the weights."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from hpc.disk.files import file_digest
from hpc.disk.folder import recover
from hpc.disk.reading import BadFileError, read_small
from hpc.disk.sealed import read_sealed, write_sealed
from hpc.disk.strict import validated
from hpc.errors import CorruptError, InputError

T = TypeVar("T")
MANIFEST = "manifest.json"
WEIGHTS = "model.safetensors"
FORMAT_VERSION = 2
AGAIN = "Make the export again from the best checkpoint: snw-dist train"
FIRST = "Make one with: snw-dist train"
_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
_OPEN = ConfigDict(extra="ignore", allow_inf_nan=False)
"""Of what may say more than is asked of it here."""
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
_Size = Annotated[int, Field(strict=True, ge=1, lt=2**31)]
_Number = Annotated[float, Field(strict=True)]


@dataclass(config=_STRICT, frozen=True)
class ExportedFile:
    """A file of the export."""

    bytes: Annotated[int, Field(strict=True, ge=0, lt=2**50)]
    sha256: _Sha256


@dataclass(config=_OPEN, frozen=True)
class EncoderFacts:
    """The encoder whose embeddings the network was trained on."""

    description: str
    weights_sha256: _Sha256
    layers: Annotated[list[Annotated[int, Field(strict=True, ge=0, lt=1000)]], Field(min_length=1)]
    combine: str


@dataclass(config=_STRICT, frozen=True)
class EncoderSize:
    """Sizes of an ESM C."""

    d_model: _Size
    num_layers: _Size
    intermediate: _Size


@dataclass(config=_STRICT, frozen=True)
class TunedEncoder:
    """The ESM C in front of the network."""

    shape: EncoderSize
    rank: _Size | None


@dataclass(config=_OPEN, frozen=True)
class Description:
    """What a reader of an export may rely on."""

    model: dict[str, Any]
    d_input: _Size
    encoder: EncoderFacts
    step: Annotated[int, Field(strict=True, ge=0, lt=2**53)]
    validation: dict[str, _Number | None]
    provenance: dict[str, Any]
    tuned_encoder: TunedEncoder | None = None


@dataclass(config=_STRICT, frozen=True)
class Manifest:
    """The content of `manifest.json`."""

    format_version: Annotated[int, Field(strict=True)]
    description: dict[str, Any]
    files: Annotated[dict[_Name, ExportedFile], Field(min_length=1, max_length=1000)]


def write_manifest(folder: Path, description: Mapping[str, Any], names: Iterable[str]) -> None:
    """Describe the files of a folder that is being made; call it last."""
    files = {}
    for name in names:
        files[name] = {"bytes": (folder / name).stat().st_size, "sha256": file_digest(folder / name)}
    write_sealed(
        folder / MANIFEST, {"format_version": FORMAT_VERSION, "description": dict(description), "files": files}
    )


def read_manifest(folder: Path) -> tuple[Manifest, Description]:
    """What the export says of itself; its files are not looked at.

    Raises `InputError` when there is no export, `CorruptError` when the manifest is damaged or of another format.
    """
    recover(folder)
    file = folder / MANIFEST
    try:
        content = read_sealed(file)
    except (FileNotFoundError, NotADirectoryError):
        if folder.is_dir() and any(folder.iterdir()):
            raise CorruptError(f"{file}: missing, or the export is of an earlier version. {AGAIN}") from None
        raise InputError(f"{folder}: there is no trained model. {FIRST}") from None
    except (BadFileError, OSError) as error:
        raise CorruptError(f"{_naming(file, error)}. {AGAIN}") from None
    if content.get("format_version") != FORMAT_VERSION:
        version = content.get("format_version")
        raise CorruptError(f"{file}: format version {version!r}, this program reads {FORMAT_VERSION}. {AGAIN}")
    manifest = validated(Manifest, content, str(file), refuse=CorruptError)
    return manifest, validated(Description, manifest.description, f"{file}: description", refuse=CorruptError)


def read_exported(folder: Path, name: str, manifest: Manifest) -> bytes:
    """The bytes of one file of the export, and no others than those that the manifest names.

    Raises `CorruptError` naming the file with the expected and the actual size or digest.
    """
    file, expected = folder / name, manifest.files.get(name)
    if expected is None:
        raise CorruptError(f"{folder / MANIFEST}: names no {name}. {AGAIN}")
    try:
        actual = file.stat().st_size
        if actual != expected.bytes:
            raise CorruptError(f"{file}: {actual:,} bytes, expected {expected.bytes:,}. {AGAIN}")
        data = read_small(file, expected.bytes)
    except (BadFileError, OSError) as error:
        raise CorruptError(f"{_naming(file, error)}. {AGAIN}") from None
    digest = hashlib.sha256(data).hexdigest()
    if digest != expected.sha256:
        raise CorruptError(f"{file}: SHA-256 {digest}, expected {expected.sha256}. {AGAIN}")
    return data


def of_one_export(folder: Path, read: Callable[[], T]) -> T:
    """What `read` makes of the folder; once more where a better export took its place meanwhile."""
    while True:
        before = _identity(folder)
        try:
            return read()
        except CorruptError:
            if _identity(folder) == before:
                raise


def _identity(folder: Path) -> tuple[int, int]:
    try:
        status = folder.stat()
    except OSError:
        return 0, 0
    return status.st_dev, status.st_ino


def _naming(file: Path, error: Exception) -> str:
    return f"{file}: {error.strerror}" if isinstance(error, OSError) else str(error)
