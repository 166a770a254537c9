"""Rosetta score files and the SCORE lines of silent files; what a tag means is for `entries`.

    SEQUENCE:
    SCORE:     total_score       I_sc  reweighted_sc description
    SCORE:        -325.152    -31.407       -388.115 recA_pep1_0001

A line of names ends with `description`, and counts until the next one: concatenated files repeat it, and may have
other columns. Columns are separated by blanks. Silent files have the structures between these lines, which are passed
over; a score file (`.sc`, `.fasc`) may hold nothing else but SEQUENCE and REMARK lines.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from hpc.errors import InputError
from snw_dist.data.text import read_lines

_SILENT_FILES = (".silent", ".out")
ENDINGS = (".sc", ".fasc", *_SILENT_FILES)
_DESCRIPTION = "description"
_OTHER_LINES = ("SEQUENCE:", "REMARK")


class Decoy(NamedTuple):
    """One SCORE line, or `problem` when it cannot be used."""

    line: int
    tag: str
    score: str
    """The cell of the term as it stands in the file."""
    problem: str = ""


def is_rosetta(path: Path) -> bool:
    """Whether the ending, `.gz` aside, is that of a score or silent file."""
    return path.name.lower().removesuffix(".gz").endswith(ENDINGS)


def read_decoys(path: Path, term: str) -> Iterator[Decoy]:
    """Yield the decoys of a score or silent file, plain or `.gz`, holding one line in memory.

    Raises `InputError` with file:line for a SCORE line before any line of names, a first line of names without
    `term` (naming those there are), `term` twice, the JSON format, and a file without decoys.
    """
    silent = path.name.lower().removesuffix(".gz").endswith(_SILENT_FILES)
    names: list[str] = []
    header, term_at, tag_at, found = 0, -1, -1, False
    for number, line in enumerate(read_lines(path), start=1):
        if not line.startswith("SCORE:"):
            if not silent and line.strip() and not line.startswith(_OTHER_LINES):
                yield _not_a_score(path, number, line)
            continue
        cells = line.split()[1:]
        if _DESCRIPTION in cells:
            if cells.count(term) != 1 and (not names or term in cells):
                raise _no_term(path, number, cells, term)
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
        raise InputError(f"{path}:1: no SCORE lines of decoys. Is it a Rosetta score or silent file?")


def _not_a_score(path: Path, number: int, line: str) -> Decoy:
    if line.startswith("{"):
        raise InputError(
            f"{path}:{number}: scores in JSON. Write them with -out:file:scorefile_format text, or make a CSV of them."
        )
    return Decoy(number, "", "", "not a SCORE line")


def _no_term(path: Path, number: int, names: Sequence[str], term: str) -> InputError:
    terms = [name for name in names if name != _DESCRIPTION]
    close = difflib.get_close_matches(term, terms, n=1)
    state = f"term {term!r} is there twice" if terms.count(term) > 1 else f"no term {term!r}"
    hint = f", perhaps to {close[0]!r}" if close and term not in terms else ""
    return InputError(f"{path}:{number}: {state}; the terms are: {', '.join(terms)}. Set data.scores.term{hint}.")
