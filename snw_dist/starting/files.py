"""Which files of a folder are the sequences, and which is the table of pairs. What is inside decides, not the name."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from hpc.errors import InputError
from snw_dist.data.files.inputs import TABLES, Table, input_files
from snw_dist.data.files.rejects import shown_names
from snw_dist.data.files.rosetta import SCORE_LINES, is_rosetta
from snw_dist.data.files.table import DELIMITERS_OF
from snw_dist.data.files.text import read_lines
from snw_dist.data.files.unpacked import without_packing

_OWN = "SNW_config"
"""How the files begin that `init` writes."""
_SAY = "Name what is meant: snw-dist init --ligands FASTA --receptors FASTA --pairs TABLE"


class Found(NamedTuple):
    """The files to be used."""

    fasta: tuple[Path, ...]
    """Of the two sides; the same one twice where there is one alone, and none where there is none. Which side is which
    is not told yet, unless"""
    given: bool
    """one was named."""
    pairs: Path
    receptors_alone: bool = False
    """One file alone, and it was named as that of the receptors."""


def found_files(folder: Path, given: Mapping[Table, Path | None]) -> Found:
    """The files that were named, and for the others those in `folder`, whose inner folders are not looked at.

    Raises `InputError` for a named file that cannot be read, and where it is not clear which files are meant.
    """
    named = {table: path for table in TABLES if (path := given.get(table)) is not None}
    for path in named.values():
        input_files(*[str(path)] * 3)  # raises where it cannot be read
    kinds = {} if len(named) == len(TABLES) else _kinds(folder, list(named.values()))
    fasta = [path for path, kind in kinds.items() if kind == "fasta"]
    tables = [path for path, kind in kinds.items() if kind == "table"]
    sides = [named[side] for side in ("ligands", "receptors") if side in named]
    if len(sides) < 2:
        sides += fasta
    pairs = [named["pairs"]] if "pairs" in named else tables
    if len(sides) > 2 or len(pairs) != 1:
        raise InputError(
            f"{folder.absolute()}: one table of pairs is needed (CSV, TSV, Parquet or a Rosetta score file), "
            f"and one or two FASTA files, or none where the table has the sequences. "
            f"FASTA files there: {_names(sides)}; tables: {_names(pairs)}.{_others(kinds)} {_SAY}."
        )
    unread = [path for path, kind in kinds.items() if kind not in ("fasta", "table", "other")]
    if len(sides) == 1 and unread and not named.keys() - {"pairs"}:  # the other side may be among them
        raise InputError(
            f"{folder.absolute()}: one FASTA file alone was found, {_names(sides)}.{_others(kinds)} {_SAY}."
        )
    receptors_alone = "receptors" in named and "ligands" not in named
    if not sides:
        return Found((), False, pairs[0])
    first, second = sides[0], sides[-1]
    both = (second, first) if receptors_alone else (first, second)
    return Found(both, len(named.keys() - {"pairs"}) > 0, pairs[0], receptors_alone and first == second)


def _kinds(folder: Path, known: Sequence[Path]) -> dict[Path, str]:
    """What each regular file is: fasta, table, or why it is neither."""
    kinds: dict[Path, str] = {}
    for path in sorted(folder.iterdir()):
        own = path.name.startswith((".", _OWN)) or any(path.samefile(one) for one in known if path.exists())
        if path.is_file() and not own:
            kinds[path] = _kind(path)
    return kinds


def _kind(path: Path) -> str:
    if path.name.lower().endswith(".parquet"):
        return "table"
    try:
        with contextlib.closing(read_lines(path)) as lines:
            first = next((line for line in lines if line.strip()), "")
        if first.startswith(">"):
            return "fasta"
        is_table = Path(without_packing(path)).suffix in DELIMITERS_OF
        return "table" if is_table or (is_rosetta(path) and _holds_decoys(first)) else "other"
    except InputError as error:
        return str(error)


def _holds_decoys(first: str) -> bool:
    """By the first line: a log of Slurm ends in .out, and a site profile begins as JSON does."""
    of_json = first.startswith("{") and first.rstrip().endswith("}")
    return of_json or first.startswith((*SCORE_LINES, "pdb name:", "filename:"))


def _names(paths: Sequence[Path]) -> str:
    return shown_names([path.name for path in paths])


def _others(kinds: Mapping[Path, str]) -> str:
    """What else is there: a table may have an ending that is not read, or be packed in a way that is not."""
    plain = [path for path, kind in kinds.items() if kind == "other"]
    unread = [kind for kind in kinds.values() if kind not in ("fasta", "table", "other")]
    text = f" Files that are neither by their ending: {_names(plain)}." if plain else ""
    return text + "".join(f" Not read: {reason}" for reason in unread[:3])
