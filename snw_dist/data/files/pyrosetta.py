"""Score files that PyRosetta's job distributor writes, and Rosetta with `-scorefile_format json`: one decoy a line.

    {"pdb_name": "dock", "decoy": "output/recA_pep1_0001.pdb", "nstruct": 96, "total_score": -211.99, "I_sc": -23.8}

and, in older versions of PyRosetta,

    pdb name: dock     nstruct: 96
    filename: recA_pep1_0001.pdb total_score: -211.99 rmsd: 1.2

The tag is the name of the decoy, often that of its file.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hpc.disk.reading import BadFileError, parse_json
from hpc.errors import InputError
from snw_dist.data.files.decoy import Decoy, no_term
from snw_dist.data.files.text import read_lines

NOT_SCORE_LINES = ("{", "[", "pdb name:", "filename:")
"""What a line of such a file begins with."""
_TAGS = ("decoy", "filename", "description")
_STRUCTURE = re.compile(r"\.(pdb|cif|mmcif)(\.gz)?$", re.IGNORECASE)


def read_pyrosetta(path: Path, term: str) -> Iterator[Decoy]:
    """Yield the decoys of such a file, holding one line in memory.

    Raises `InputError` with file:line for a first decoy without `term`, naming those it has, and for a file without
    decoys.
    """
    known, found = False, False
    nameless = f"the decoy has no name ({', '.join(_TAGS)})"
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip() or line.startswith("pdb name:"):
            continue
        if not found:
            _refuse_one_json(path, number, line)
        found = True
        try:
            values = _values(line, number)
        except ValueError as error:
            yield Decoy(number, "", "", str(error))
            continue
        tag = next((str(values[name]) for name in _TAGS if values.get(name)), "")
        if term not in values:
            if not known:
                raise no_term(path, number, [name for name in values if name not in (*_TAGS, "pdb_name")], term)
            yield Decoy(number, tag, "", f"the decoy has no term {term!r}")
            continue
        known = True
        score = values[term]
        if isinstance(score, bool) or not isinstance(score, int | float | str | None):
            yield Decoy(number, tag, "", f"{term} is no number")
            continue
        yield Decoy(number, tag, "" if score is None else score, "" if tag else nameless)
    if not found:
        raise InputError(f"{path}:1: no decoys. Is it a score file?")


def decoy_terms(path: Path) -> list[str]:
    """The terms of the first decoy of such a file; raises `InputError` with file:line where there is none."""
    with contextlib.closing(read_lines(path)) as lines:
        numbered = ((n, line) for n, line in enumerate(lines, 1) if line.strip() and not line.startswith("pdb name:"))
        number, line = next(numbered, (1, ""))
    _refuse_one_json(path, number, line)
    try:
        return [name for name in _values(line, number) if name not in (*_TAGS, "pdb_name")]
    except ValueError as error:
        raise InputError(f"{path}:{number}: {error}.") from None


def _values(line: str, number: int) -> dict[str, Any]:
    """The terms of one decoy; raises `ValueError` for a line that is none."""
    if line.startswith("filename:"):
        return _classic(line)
    if not line.lstrip().startswith("{"):
        raise ValueError("not a decoy in JSON, nor a line filename: ...")
    try:
        values = parse_json(line, "the line", finite=False)  # only the term that is read has to be a number
    except BadFileError as error:
        raise ValueError(re.sub(r"^the line(:1)?: | \(lines 1 and 1\)$", "", str(error))) from None
    return dict(values)


def _classic(line: str) -> dict[str, str]:
    """The words after each `name:`; raises `ValueError` for a name that is there twice."""
    values: dict[str, str] = {}
    name = ""
    for word in line.split():
        if word.endswith(":"):
            name = word[:-1]
            if name in values:
                raise ValueError(f"the term {name!r} is there twice")
            values[name] = ""
        elif not values:
            raise ValueError("filename: is not followed by a blank")
        else:
            values[name] = f"{values[name]} {word}".lstrip()
    return values


def _refuse_one_json(path: Path, number: int, line: str) -> None:
    """Raise `InputError` where the file begins as one JSON value of many decoys."""
    text = line.strip()
    try:
        value = parse_json(text, "", finite=False) if text.startswith("{") else None
    except BadFileError:
        value = None
    of_many = isinstance(value, dict) and value and all(isinstance(one, dict) for one in value.values())
    if text in ("{", "[") or text.startswith("[") or of_many:
        raise InputError(
            f"{path}:{number}: one JSON value for all decoys. Write an object of its own on a line for each, as with "
            "jq -c '.[]'; its name is in decoy, filename or description."
        )


def plain_tag(tag: str) -> str:
    """The tag without folder and ending, as SCORE lines have it."""
    return _STRUCTURE.sub("", tag.replace("\\", "/").rpartition("/")[2])
