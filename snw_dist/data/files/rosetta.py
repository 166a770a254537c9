"""Rosetta score files and the SCORE lines of silent files; what a tag means is for `entries`.

    SEQUENCE:
    SCORE:     total_score       I_sc  reweighted_sc description
    SCORE:        -325.152    -31.407       -388.115 recA_pep1_0001

A line of names ends with `description`, and counts until the next one: concatenated files repeat it, and may have
other columns. Columns are separated by blanks. Silent files have the structures between these lines, which are passed
over; a score file may hold nothing else but SEQUENCE and REMARK lines. PyRosetta writes other lines
(see `pyrosetta`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from hpc.errors import InputError
from snw_dist.data.files.decoy import Decoy, no_term
from snw_dist.data.files.pyrosetta import NOT_SCORE_LINES, decoy_terms, read_pyrosetta
from snw_dist.data.files.rejects import shorten
from snw_dist.data.files.text import read_lines
from snw_dist.data.files.unpacked import without_packing

_SILENT_FILES = (".silent", ".out")
ENDINGS = (".sc", ".fasc", ".score", *_SILENT_FILES)
_TABLES = (".csv", ".tsv")
SCORE_LINES = ("SEQUENCE:", "SCORE:")
_FIRST_LINES = (*SCORE_LINES, *NOT_SCORE_LINES)
_DESCRIPTION = "description"
_OTHER_LINES = ("SEQUENCE:", "REMARK")


def is_rosetta(path: Path) -> bool:
    """Whether the ending, that of packing aside, is that of a score or silent file, or else its first line is.

    Score files have many names, `scores.txt`, `score.json` or `scores.csv` among them.
    """
    name = without_packing(path)
    if name.endswith(ENDINGS) or name.endswith(".parquet"):
        return name.endswith(ENDINGS)
    with contextlib.closing(read_lines(path)) as lines:
        first = next((line for line in lines if line.strip()), "")
    return first.startswith(SCORE_LINES if name.endswith(_TABLES) else _FIRST_LINES)


def read_decoys(path: Path, term: str) -> Iterator[Decoy]:
    """Yield the decoys of a score or silent file, holding one line in memory.

    Raises `InputError` with file:line for a SCORE line before any line of names, a first line of names without
    `term` (naming those there are), `term` twice, and a file without decoys.
    """
    with contextlib.closing(read_lines(path)) as lines:
        first = next((line for line in lines if line.strip()), "")
    if first.startswith(NOT_SCORE_LINES):
        yield from read_pyrosetta(path, term)
    else:
        yield from _read_score_lines(path, term)


def score_terms(path: Path) -> list[str]:
    """The names of the scores of the first decoys in a score or silent file; raises `InputError` for no names."""
    with contextlib.closing(read_lines(path)) as lines:
        first = next((line for line in lines if line.strip()), "")
        if first.startswith(NOT_SCORE_LINES):
            return decoy_terms(path)
        for line in (first, *lines):
            names = line.split()[1:] if line.startswith("SCORE:") else []
            if _DESCRIPTION in names:
                return [name for name in names if name != _DESCRIPTION]
    raise InputError(f"{path}:1: no line of names (SCORE: ... description). Is it a Rosetta score or silent file?")


def _read_score_lines(path: Path, term: str) -> Iterator[Decoy]:
    silent = without_packing(path).endswith(_SILENT_FILES)
    names: list[str] = []
    header, term_at, tag_at, found = 0, -1, -1, False
    first = ""
    for number, line in enumerate(read_lines(path), start=1):
        if not line.startswith("SCORE:"):
            first = first or line.strip()
            silent = silent or (line.startswith("REMARK") and "SILENT" in line)
            if not silent and line.strip() and not line.startswith(_OTHER_LINES):
                yield Decoy(number, "", "", "not a SCORE line")
            continue
        cells = line.split()[1:]
        if _DESCRIPTION in cells:
            if cells.count(term) != 1 and (not names or term in cells):
                raise no_term(path, number, [name for name in cells if name != _DESCRIPTION], term)
            names, header, tag_at = cells, number, cells.index(_DESCRIPTION)
            term_at = cells.index(term) if term in cells else -1
            continue
        if not names:
            raise InputError(
                f"{path}:{number}: scores before any line of names (SCORE: ... description). Add that line."
            )
        found = True
        if len(cells) != len(names):
            yield Decoy(number, "", "", f"{len(cells)} columns, the names at line {header} are {len(names)}")
        elif term_at < 0:
            yield Decoy(number, cells[tag_at], "", f"the names at line {header} have no term {term!r}")
        else:
            yield Decoy(number, cells[tag_at], cells[term_at])
    if not found:
        begin = f" It begins with {shorten(first)!r}." if first else ""
        raise InputError(f"{path}:1: no SCORE: lines of decoys. Is it a Rosetta score or silent file?{begin}")
