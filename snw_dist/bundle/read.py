"""Reading a bundle that may come from anywhere: nothing is used before every file of it is what `bundle.json` says.

A bundle holds data alone. What could run something (a pickle, a link to elsewhere, a name that leads out of the
folder) is refused before anything is read from it. The SHA-256 in `bundle.json` guard against damage and mistakes; who
can write the folder can write them too.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpc.disk.files import file_digest
from hpc.disk.reading import BadFileError, parse_json, read_small
from hpc.disk.sealed import read_sealed
from hpc.disk.strict import validated
from hpc.errors import CorruptError, EnvironmentProblem, InputError, SnwError
from hpc.told import did, long_work
from snw_dist.bundle.format import BUNDLE, FORMAT_VERSION, BundleFile

_AGAIN = "Fetch the bundle again, or make it again: snw-dist export"
_MAY_NOT = "Have its owner let you read it, and all folders above it."
_OF_THE_HUB = {".gitattributes", ".git", ".gitignore", ".cache"}
"""What the hub and git put into a folder beside its files; never looked into."""
_OF_THE_DESKTOP = ".DS_Store"
"""What a Mac puts into any folder that was looked at."""
_MOST_FILES = 20_000


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files have been compared with what it says of them."""

    folder: Path
    says: BundleFile
    sha256: str
    """Of `bundle.json`, and so of the whole bundle."""

    def read(self, name: str) -> bytes:
        """The bytes of a file, compared once more; raises `CorruptError` where they have changed meanwhile."""
        file, expected = self.folder / name, self.says.files.get(name)
        if expected is None:
            raise CorruptError(f"{self.folder / BUNDLE}: names no {name}. {_AGAIN}")
        try:
            data = read_small(file, expected.bytes)
        except (BadFileError, OSError) as error:
            raise _refusal(file, error) from None
        if hashlib.sha256(data).hexdigest() != expected.sha256:
            raise CorruptError(f"{file}: changed while it was read. {_AGAIN}")
        return data

    def read_json(self, name: str) -> dict[str, Any]:
        """The object in a file; raises `CorruptError` as `read` does, and for anything else."""
        try:
            value = parse_json(self.read(name), str(self.folder / name))
        except BadFileError as error:
            raise CorruptError(f"{error}. {_AGAIN}") from None
        if not isinstance(value, dict):
            raise CorruptError(f"{self.folder / name}: no object with keys and values. {_AGAIN}")
        return value


def open_bundle(folder: Path) -> Bundle:
    """Compare a whole folder with what its `bundle.json` says.

    Raises `InputError` where there is no bundle, or one of a newer format, and `CorruptError` with one line for what
    differs: a file that is changed, missing or not named, and anything that is no regular file. What may not be read is
    an `EnvironmentProblem`. In the cache of the hub, where every file is a link to a blob beside it, these are taken.
    """
    says, digest = _read_bundle_file(folder)
    try:
        there = set(_files(folder, _blobs_beside(folder)))
    except OSError as error:
        raise _refusal(Path(error.filename or folder), error) from None
    for name in sorted(there - {BUNDLE, *says.files}):
        raise CorruptError(f"{folder / name}: {BUNDLE} names no such file. Remove it, or fetch the bundle again.")
    with long_work(f"checking {folder.name}", len(says.files), "files"):
        for name, expected in says.files.items():
            if name not in there:
                raise CorruptError(f"{folder / name}: missing. {_AGAIN}")
            _check_file(folder / name, expected.bytes, expected.sha256)
            did("files")
    return Bundle(folder, says, digest)


def _check_file(file: Path, num_bytes: int, sha256: str) -> None:
    try:
        size = file.stat().st_size
        if size != num_bytes:
            raise CorruptError(f"{file}: {size:,} bytes, expected {num_bytes:,}. {_AGAIN}")
        found = file_digest(file)
    except OSError as error:
        raise _refusal(file, error) from None
    if found != sha256:
        raise CorruptError(f"{file}: SHA-256 {found}, expected {sha256}. {_AGAIN}")


def _read_bundle_file(folder: Path) -> tuple[BundleFile, str]:
    file = folder / BUNDLE
    try:
        content = read_sealed(file)
        digest = file_digest(file)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"{folder}: no bundle here, which has a {BUNDLE}. Make one with: snw-dist export --run NAME"
        ) from None
    except (BadFileError, OSError) as error:
        raise _refusal(file, error) from None
    version = content.get("format_version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise InputError(
            f"{file}: format version {version!r:.60}, and this program reads up to {FORMAT_VERSION}. Install a newer "
            "snw-dist."
        )
    if version != FORMAT_VERSION:
        raise CorruptError(f"{file}: format version {version!r:.60}, this program reads {FORMAT_VERSION}. {_AGAIN}")
    return validated(BundleFile, content, str(file), refuse=CorruptError), digest


def _blobs_beside(folder: Path) -> Path | None:
    """Of a folder in the cache of the hub, `NAME/snapshots/REVISION`, where its links may lead: `NAME/blobs`."""
    place = Path(os.path.realpath(folder))
    return place.parents[1] / "blobs" if place.parent.name == "snapshots" else None


def _files(folder: Path, blobs: Path | None, below: str = "") -> Iterator[str]:
    """The names of all files, relative to the bundle; nothing is opened, and no link is followed but one to a blob."""
    with os.scandir(folder) as entries:
        for number, entry in enumerate(entries):
            name = f"{below}{entry.name}"
            if entry.name == _OF_THE_DESKTOP or (not below and entry.name in _OF_THE_HUB):
                continue
            if number > _MOST_FILES:
                raise CorruptError(f"{folder}: more than {_MOST_FILES:,} files, which no bundle has. {_AGAIN}")
            if entry.is_symlink() and not (entry.is_file() and Path(os.path.realpath(entry.path)).parent == blobs):
                raise CorruptError(f"{folder / entry.name}: a symbolic link, which no bundle has. {_AGAIN}")
            if entry.is_dir():
                yield from _files(folder / entry.name, blobs, f"{name}/")
            elif entry.is_file():
                yield name
            else:
                raise CorruptError(f"{folder / entry.name}: neither a file nor a folder. {_AGAIN}")


def _refusal(file: Path, error: Exception) -> SnwError:
    if isinstance(error, PermissionError):  # the bundle may be whole: to fetch it again would not help
        return EnvironmentProblem(f"{file}: {error.strerror}. {_MAY_NOT}")
    return CorruptError(f"{f'{file}: {error.strerror}' if isinstance(error, OSError) else error}. {_AGAIN}")
