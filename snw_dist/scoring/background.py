"""The peptides that a score is compared with: those that a bundle names, or windows of proteins of the user."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hpc.disk.files import file_digest
from hpc.errors import CorruptError, InputError
from hpc.told import tell
from snw_dist.bundle.background import BackgroundEntry, drawn, draws_the_same, uniform
from snw_dist.data.files.fasta import MAX_RECORD_CHARS, read_fasta
from snw_dist.data.records.cleaning import STANDARD, Nucleotides

LONGEST_DRAWN = 50
"""Residues. Longer chains fold, and a protein drawn residue by residue is like none in nature."""
FEWEST_WINDOWS = 1000
"""With fewer, 0.5 % would be less than five of them."""
_STRETCH = re.compile(f"[{STANDARD}]+")


class Background(NamedTuple):
    """Peptides of any length."""

    what: str
    """Such as `peptides drawn from residue frequencies`."""
    sha256: str
    """Of all that decides them."""
    peptides: Callable[[int], list[str]]
    """Residues -> the peptides of that length; none where there is no fair background."""
    why_none: str
    """Why a length may have no peptides."""


def drawn_background(entry: BackgroundEntry, source: str) -> Background:
    """The peptides that a bundle names; raises `CorruptError` where others would be drawn here."""
    if not draws_the_same(entry):
        raise CorruptError(
            f"{source}: this program draws other background peptides than the one that made the bundle. "
            "Make the bundle again: snw-dist export"
        )

    def peptides(length: int) -> list[str]:
        return drawn(entry.percent, entry.seed, entry.size, length) if length <= LONGEST_DRAWN else []

    facts = (entry.kind, sorted(entry.percent.items()), entry.seed, entry.size)
    return Background(
        f"{entry.size:,} peptides drawn from residue frequencies ({entry.source})",
        hashlib.sha256(repr(facts).encode()).hexdigest(),
        peptides,
        f"a chain of more than {LONGEST_DRAWN} residues that is drawn residue by residue is like no natural protein; "
        "--background FASTA takes windows of proteins",
    )


def proteome_background(path: Path, entry: BackgroundEntry) -> Background:
    """Windows of the proteins in a FASTA file, each window equally often; seed and number are those of the bundle.

    Windows have only the 20 standard residues. Where there are fewer windows than asked for, all are taken, once each.
    Raises `InputError` where the file is not there or has no such residue, and as `read_fasta`.
    """
    if not path.is_file():
        raise InputError(f"--background {path}: no such file.")
    digest, stretches = file_digest(path), _stretches(path)

    def peptides(length: int) -> list[str]:
        return _windows(stretches, length, entry.seed, entry.size)

    facts = ("windows of proteins", digest, entry.seed, entry.size)
    return Background(
        f"up to {entry.size:,} windows of the proteins of {path.name}",
        hashlib.sha256(repr(facts).encode()).hexdigest(),
        peptides,
        f"{path.name} has fewer than {FEWEST_WINDOWS:,} windows of such a length",
    )


def _stretches(path: Path) -> list[str]:
    """All runs of standard residues; says what is left out."""
    stretches, left_out, nucleotides = list[str](), 0, Nucleotides()
    for record in read_fasta(path):
        if record.overlong:
            raise InputError(
                f"{path}:{record.line}: the record is longer than {MAX_RECORD_CHARS:,} characters. Split it."
            )
        nucleotides.add(record)
        found = _STRETCH.findall(record.sequence.upper())
        left_out += len(record.sequence) - sum(map(len, found))
        stretches += found
    if not stretches:
        raise InputError(f"--background {path}: no record has a residue of a protein.")
    for note in nucleotides.notes(path.name):
        tell(note)
    if left_out:
        tell(f"{path.name}: {left_out:,} characters are none of the 20 standard residues; no window has one.")
    return stretches


def _windows(stretches: list[str], length: int, seed: int, size: int) -> list[str]:
    count = np.array([max(0, len(one) - length + 1) for one in stretches])
    before = np.cumsum(count) - count
    total = int(count.sum())
    if total < FEWEST_WINDOWS:
        return []
    numbers = np.arange(total) if total <= size else np.floor(uniform(seed, length, size) * total).astype(np.int64)
    found = np.searchsorted(before + count, numbers, side="right")
    starts = (numbers - before[found]).tolist()
    return [stretches[one][start : start + length] for one, start in zip(found.tolist(), starts, strict=True)]
