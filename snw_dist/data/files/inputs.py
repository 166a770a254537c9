"""The input files, mostly three: which they are, where they lie, and what they are called in what is made from them.

Also who only reads prepared tables imports this module, so it imports nothing that reads an input.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hpc.errors import InputError

Table = Literal["ligands", "receptors", "pairs"]
TABLES: tuple[Table, ...] = ("ligands", "receptors", "pairs")
MAX_TOTAL_BYTES = 1 << 34
"""16 GiB of text in one file, after decompression."""


@dataclass(frozen=True)
class InputFiles:
    """The input files of a configuration; no FASTA file of a side whose sequences are in the pair table."""

    paths: Mapping[Table, Path]
    names: Mapping[Table, str]
    """Their paths below the deepest folder they share, so that outputs do not depend on where that is.

    Files that share none but the root keep their whole paths."""


def input_files(ligands: str | None, receptors: str | None, pairs: str) -> InputFiles:
    """The input files at these paths; raises `InputError` for one that cannot be read."""
    given: dict[Table, str | None] = {"ligands": ligands, "receptors": receptors, "pairs": pairs}
    paths = {table: Path(path) for table, path in given.items() if path is not None}
    for table, path in paths.items():
        _check_readable(path, f"data.{table}")
    absolute = {table: path.absolute() for table, path in paths.items()}
    base = os.path.commonpath([path.parent for path in absolute.values()])
    below = {table: path if base == path.anchor else path.relative_to(base) for table, path in absolute.items()}
    return InputFiles(paths, {table: path.as_posix() for table, path in below.items()})


def _check_readable(path: Path, setting: str) -> None:
    """Raise `InputError` naming `setting` unless `path` is a regular file that can be opened."""
    if not path.exists():
        inside = (
            ""
            if setting == "data.pairs"
            else (
                f" Where the pair table has the sequences themselves, name their column: data.columns."
                f"{setting.removeprefix('data.').removesuffix('s')}_sequence."
            )
        )
        raise InputError(f"{path}: no such file. Correct {setting} in the configuration.{inside}")
    if not path.is_file():
        raise InputError(f"{path}: not a regular file. Correct {setting} in the configuration.")
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}. Correct its permissions.") from None
