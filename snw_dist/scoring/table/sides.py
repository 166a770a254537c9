"""From what stands in a table to a sequence of either side, or the reason why there is none."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from hpc.amounts import count_of
from hpc.errors import InputError
from snw_dist.data.files.cells import MISSING
from snw_dist.data.files.fasta import read_fasta
from snw_dist.data.files.rejects import Rejects, shorten
from snw_dist.data.records.cleaning import Problem
from snw_dist.data.records.ids import Lookup, UnknownIdError
from snw_dist.data.records.sequences import SequenceTable
from snw_dist.scoring.sequences import Rules

NAMES = {
    "ligand": ("ligand", "ligand_sequence", "peptide", "ligand_id"),
    "receptor": ("receptor", "receptor_sequence", "mhc", "allele", "protein", "target", "receptor_id"),
}
"""What the column of a side may be called, in any case, the likeliest first."""
_MOST_REMEMBERED = 50_000
_NOTHING = SequenceTable({}, 0, 0, {}, [])


class Refused(NamedTuple):
    """Why a row has no score, as `Reject` says it of a record."""

    reason: str
    value: str = ""
    """What cannot be used, shortened."""
    id: str = ""
    """Of the record that it is about, shortened, where there is one."""


class Pair(NamedTuple):
    """Two cleaned sequences."""

    ligand: str
    receptor: str


@dataclass
class Side:
    """One side of all pairs: given once for all rows, or told by a cell of each row."""

    kind: Literal["ligand", "receptor"]
    rules: Rules
    longest: int | None = None
    """Residues that the networks take; None: any number."""
    column: str | None = None
    """The column that the user has named."""
    given: tuple[str, str] | None = None
    """What the user typed for all rows, and the sequence it is."""
    ids: Lookup | None = None
    """With it cells are ids and no sequences."""
    notes: list[str] = field(default_factory=list)
    _known: dict[str, str | Refused] = field(default_factory=dict)

    def find(self, cell: str) -> str | Refused:
        """The sequence that a cell tells."""
        if self.given is not None:
            return self.given[1]
        text = cell.strip()
        found = self._known.get(text)
        if found is None:
            found = self._by_id(text) if self.ids is not None else self._in_cell(text)
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            self._known[text] = found
        return found

    def clean(self, text: str) -> str | Refused:
        """The sequence in a text, by the rules of the training data."""
        if not text:
            return Refused(f"the {self.kind} is empty")
        cleaned = self.rules.clean(text)
        if isinstance(cleaned, Problem):
            return Refused(f"{self.kind} {shorten(text)!r}: {cleaned.reason}", shorten(text))
        return self._of_fitting_length(cleaned.sequence)

    def column_among(self, names: Sequence[str]) -> str | None:
        """The name of this side's column: the one that the user has named, or else the likeliest."""
        if self.column is not None:
            return self.column if self.column in names else None
        folded = {name.strip().lower(): name for name in reversed(names)}
        order = NAMES[self.kind] if self.ids is None else NAMES[self.kind][::-1]
        return next((folded[name] for name in order if name in folded), None)

    def _in_cell(self, text: str) -> str | Refused:
        if text in MISSING:
            way = (
                ""
                if isinstance(self.rules.clean(text), Problem)
                else ". If a peptide is meant, give it an id in a FASTA"
            )
            return Refused(f"the {self.kind} is missing ({text}){way}", text)
        return self.clean(text)

    def _by_id(self, text: str) -> str | Refused:
        assert self.ids is not None
        try:
            self.ids(text)
        except UnknownIdError as error:
            return Refused(f"{error.reason}. {error.fix}".rstrip("."), id=shorten(text))
        whole = self.ids.by_field.get(text, text)
        return self._of_fitting_length(self.ids.table.sequences[whole])

    def _of_fitting_length(self, sequence: str) -> str | Refused:
        if self.longest is not None and len(sequence) > self.longest:
            long = f"{self.kind}: {len(sequence):,} residues, the networks take {self.longest:,} at most"
            return Refused(long, shorten(sequence))
        return sequence


class Ids:
    """The ids of a FASTA file whose records have rows by their ids: each stands for one sequence."""

    def __init__(self, path: Path) -> None:
        self._path, self._seen = path, dict[str, tuple[int, bytes]]()

    def add(self, identifier: str, line: int, sequence: bytes) -> None:
        """Note a record; raises `InputError` for an id that stands for another sequence: its rows could not be told."""
        digest = hashlib.blake2b(sequence, digest_size=16).digest()
        first, known = self._seen.setdefault(identifier, (line, digest))
        if known != digest:
            raise InputError(
                f"{self._path}:{line}: {shorten(identifier)}: the id stands for different sequences (lines {first} and "
                f"{line}). Keep one of them or give them ids of their own."
            )


def pair_of(ligand: str | Refused, receptor: str | Refused) -> Pair | Refused:
    """Both sides together; of two reasons the first."""
    if isinstance(ligand, Refused):
        return ligand
    return receptor if isinstance(receptor, Refused) else Pair(ligand, receptor)


def read_ids(side: Side, path: Path) -> None:
    """Let cells of the side be ids of a FASTA file; what is wrong with it becomes notes."""
    rejects = Rejects(limit=1)
    table = side.rules.read("ligands" if side.kind == "ligand" else "receptors", path, rejects)
    side.ids = Lookup(side.kind, table, _NOTHING, [path.name])
    side.notes += table.notes
    if rejects.total:
        first = rejects.kept[0]
        side.notes.append(
            f"{path}: {rejects.total:,} of {count_of(table.read, 'record')} cannot be used, such as {first.id} "
            f"(line {first.line}: {first.reason})."
        )


def give(side: Side, text: str) -> None:
    """Let a text stand for the side in all rows: a sequence, or FILE:ID of a FASTA file.

    Raises `InputError` where it is neither.
    """
    path, identifier = _file_and_id(text)
    found = side.clean(text) if path is None else _of_record(side, path, identifier)
    if isinstance(found, Refused):
        hint = "" if path is not None else f". Give a sequence, or FILE:ID of a FASTA file: --{side.kind} FILE:ID"
        raise InputError(f"--{side.kind} {shorten(text)}: {found.reason}{hint}.")
    side.given = (identifier if path is not None else text, found)


def _file_and_id(text: str) -> tuple[Path | None, str]:
    """The file before a colon, if there is such a file, and the id behind it, which may have colons too."""
    for place, letter in enumerate(text):
        if letter == ":" and Path(text[:place]).is_file():
            return Path(text[:place]), text[place + 1 :]
    return None, text


def _of_record(side: Side, path: Path, identifier: str) -> str | Refused:
    found = {record.sequence for record in read_fasta(path) if record.id == identifier}
    if len(found) > 1:
        return Refused(f"{path}: the id stands for {len(found)} different sequences")
    return side.clean(found.pop()) if found else Refused(f"{path}: has no such id")
