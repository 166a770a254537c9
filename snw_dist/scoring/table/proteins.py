"""The proteins of a FASTA file whose windows are looked at: read one by one, as often as it takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hpc.errors import InputError
from snw_dist.data.files.fasta import FastaRecord, read_fasta
from snw_dist.data.files.rejects import shorten
from snw_dist.data.records.cleaning import Nucleotides, check_id
from snw_dist.scoring.table.sides import Ids
from snw_dist.scoring.table.windows import Letters, Numbering

_BLANKS = str.maketrans(dict.fromkeys(" \t\n"))


class Proteins(NamedTuple):
    """What is known of all of them: without their letters."""

    path: Path
    names: list[str]
    lines: list[int]
    """Of the headers."""
    numbering: Numbering
    """Of their windows."""


def read_proteins(path: Path) -> Iterator[Letters]:
    """[residues] the letters of each: upper-case, without blanks and the mark of a stop at the end; not yet cleaned.

    Raises `InputError` for a record that is none.
    """
    return (_letters(record) for record in read_fasta(path))


def survey_proteins(path: Path, lengths: Sequence[int]) -> tuple[Proteins, list[str]]:
    """All proteins with their windows of these lengths, and notes on what is odd about them.

    Raises as `read_proteins`, and `InputError` for an id that stands for different sequences.
    """
    names, lines, sizes, nucleotides, ids = [], [], [], Nucleotides(), Ids(path)
    for record in read_fasta(path):
        nucleotides.add(record)
        names.append(record.id)
        lines.append(record.line)
        letters = _letters(record)
        ids.add(record.id, record.line, letters.tobytes())
        sizes.append(len(letters))
    notes = nucleotides.notes(path.name)
    short = [name for name, size in zip(names, sizes, strict=True) if size < max(lengths)]
    if short:
        notes.append(
            f"{path.name}: {len(short):,} of {len(names):,} proteins are shorter than {max(lengths)} residues, such as "
            f"{shorten(short[0])!r}: they have fewer windows, or none."
        )
    return Proteins(path, names, lines, Numbering(sizes, lengths)), notes


def _letters(record: FastaRecord) -> Letters:
    where = f"{record.file}:{record.line}"
    if problem := check_id(record):
        raise InputError(f"{where}: {problem.reason}. {problem.fix}")
    if record.overlong:
        raise InputError(f"{where}: {shorten(record.id)!r} is too long for a protein. Remove it.")
    # what is not ASCII is no amino acid, and neither is the mark that then stands for it
    text = record.text.translate(_BLANKS).encode("ascii", "replace").replace(b"\0", b"?")
    return np.frombuffer(text.removesuffix(b"*").upper(), np.uint8)
