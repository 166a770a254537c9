"""The manifest of a checkpoint, and the check of every file against it.

Both may be damaged, or made to do damage: only regular files are opened, nothing larger than it may be is read, and the
manifest is checked as a whole, by one strict model, before anything in it is used.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass as plain_dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, ConfigDict, Field, StrictInt
from pydantic.dataclasses import dataclass

from hpc.disk.reading import open_regular, parse_json, read_small
from hpc.disk.strict import validated
from hpc.errors import CorruptError
from hpc.save.checkpoint_names import original_name, place_of

MANIFEST = "manifest.json"
FORMAT_VERSION = 1
MOST_BYTES = 8 * 2**20
"""What a manifest has at most: 130 bytes for each of 60,000 files."""
MOST_ENTRIES = 2**16
"""Files of a checkpoint at most; also where an entry of `meta` lists things, a check of it may use this bound."""
_READ_BYTES = 2**20
_MESSAGE = 400
T = TypeVar("T")


@plain_dataclass(frozen=True)
class Checkpoint:
    """A committed checkpoint whose files verified."""

    path: Path
    step: int
    meta: Mapping[str, Any]
    world_size: int
    """Number of ranks that wrote it."""
    files: Mapping[str, int]
    """Name and size in bytes of each file."""


def _name_of_file(name: str) -> str:
    if not name or not name.isprintable() or not is_inside(name):
        raise ValueError("not the name of a file in this folder")
    return name


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class _Entry:
    bytes: Annotated[StrictInt, Field(ge=0, lt=2**63)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Manifest:
    """What `manifest.json` holds."""

    format_version: StrictInt
    step: Annotated[StrictInt, Field(ge=0, lt=10**18)]
    world_size: Annotated[StrictInt, Field(ge=1, le=MOST_ENTRIES)]
    files: dict[Annotated[str, AfterValidator(_name_of_file)], _Entry]
    meta: dict[str, Any]
    sha256: str


def verify_checkpoint(path: Path, accept: Callable[[Checkpoint], None] = lambda found: None) -> Checkpoint:
    """Check every file of a checkpoint against its manifest.

    `accept` sees what the manifest says before any file is read, which may take long, and raises `CorruptError` for
    what cannot be. Raises `CorruptError` with one line that names the file with the expected and the actual size and
    digest. Nothing is unpickled.
    """
    file = path / MANIFEST
    try:
        _refuse_foreign(file, file.stat())
        manifest = checked_manifest(read_small(file, MOST_BYTES), file)
        place = place_of(original_name(path.name) or path.name)
        if place is None or place.step != manifest.step:
            raise CorruptError(f"{file}: step {manifest.step} does not fit its folder")
        sizes = {name: entry.bytes for name, entry in manifest.files.items()}
        found = Checkpoint(path, manifest.step, manifest.meta, manifest.world_size, sizes)
        accept(found)
        for name, entry in manifest.files.items():
            file = path / name
            _verify_file(file, entry)
    except (OSError, ValueError) as error:
        missing = isinstance(error, FileNotFoundError)
        cause = "missing" if missing else f"unreadable ({type(error).__name__}: {error})"
        raise CorruptError(f"{file}: {cause}") from None
    return found


def checked_manifest(data: bytes, file: Path) -> Manifest:
    """The manifest in a text. Raises `CorruptError`, or `ValueError` where it is no JSON that we read."""
    values = parse_json(data, MANIFEST)
    manifest = checked(Manifest, values, file, "files")
    actual = manifest_digest({name: value for name, value in values.items() if name != "sha256"})
    if actual != manifest.sha256:
        raise CorruptError(f"{file}: SHA-256 of the content {actual}, expected {shortened(manifest.sha256)}")
    if manifest.format_version != FORMAT_VERSION:
        raise CorruptError(f"{file}: format version {manifest.format_version}, expected {FORMAT_VERSION}")
    return manifest


def checked(kind: type[T], values: Any, file: Path, *counted: str) -> T:
    """Plain data of a file as a `kind`, see `validated`; raises `CorruptError` with one short line.

    `counted` are keys whose values must not have too many entries: each wrong one would be an error of its own.
    """
    if not isinstance(values, dict):
        raise CorruptError(f"{file}: no object with keys and values")
    for key in counted:
        if isinstance(values.get(key), dict | list) and len(values[key]) > MOST_ENTRIES:
            raise CorruptError(f"{file}: {len(values[key]):,} {key}, more than {MOST_ENTRIES:,}")
    try:
        return validated(kind, values, str(file), CorruptError)
    except CorruptError as error:
        raise CorruptError(shortened(str(error).splitlines()[0])) from None


def shortened(text: str) -> str:
    """A text out of a file, fit for a message: no control characters, no novel."""
    text = text if len(text) <= _MESSAGE else text[:_MESSAGE] + "..."
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def manifest_digest(manifest: Mapping[str, Any]) -> str:
    """SHA-256 of a manifest without its own digest."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True, allow_nan=False).encode()).hexdigest()


def is_inside(name: str) -> bool:
    """Whether the name of a file stays within its folder."""
    return not Path(name).is_absolute() and ".." not in Path(name).parts


def _verify_file(file: Path, entry: _Entry) -> None:
    descriptor = open_regular(file, follow_link=False)
    try:
        status = os.fstat(descriptor)
        _refuse_foreign(file, status)
        if status.st_size != entry.bytes:
            raise CorruptError(f"{file}: {status.st_size} bytes, expected {entry.bytes}")
        digest, left = hashlib.sha256(), entry.bytes
        while left and (part := os.read(descriptor, min(left, _READ_BYTES))):
            digest.update(part)
            left -= len(part)
    finally:
        os.close(descriptor)
    if digest.hexdigest() != entry.sha256:
        raise CorruptError(f"{file}: SHA-256 {digest.hexdigest()}, expected {entry.sha256}")


def _refuse_foreign(file: Path, status: os.stat_result) -> None:
    if status.st_uid not in (os.getuid(), 0):
        raise CorruptError(f"{file}: belongs to another user (uid {status.st_uid})")
