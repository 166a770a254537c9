"""A FASTA file as a library: each distinct sequence once, with all the ids that it has.

Sequences are in the order of their lengths, equal ones in that of their letters. So two files with the same sequences
are the same library, and equal scores are ranked by this order, whatever the order of the records was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from hpc.errors import CorruptError, InputError
from snw_dist.arrays import IntArray
from snw_dist.data.files.inputs import Table
from snw_dist.data.files.rejects import Reject, Rejects
from snw_dist.scoring.sequences import Rules
from snw_dist.screen.array_file import read_arrays, write_arrays
from snw_dist.screen.texts import Texts, digest_of

Kind = Literal["ligand", "receptor"]
_SEQUENCES, _IDS, _INDEX = "sequences.arrow", "ids.arrow", "index.safetensors"
_SHOWN = 10
TABLE: dict[Kind, Table] = {"ligand": "ligands", "receptor": "receptors"}


def other(side: Kind) -> Kind:
    """The other side."""
    return "ligand" if side == "receptor" else "receptor"


@dataclass(frozen=True)
class Library:
    """The usable records of a FASTA file, and what became of the others."""

    sequences: list[str]
    """Distinct, in their order."""
    ids: list[str]
    """Of the records, in the order of their sequences, equal ones in that of the file."""
    first: IntArray
    """[sequences + 1] where the ids of each sequence begin."""
    place: IntArray
    """[ids] which of the usable records of the file each is, from 0."""
    read: int = 0
    merged: int = 0
    """Records that were there before with the same id and sequence."""
    rejects: list[Reject] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def digest(self) -> str:
        """SHA-256 of sequences, ids, and which id is of which sequence."""
        index = hashlib.sha256(self.first.tobytes() + self.place.tobytes()).hexdigest()
        return hashlib.sha256(f"{digest_of(self.sequences)} {digest_of(self.ids)} {index}".encode()).hexdigest()

    @property
    def lengths(self) -> IntArray:
        """[sequences] residues."""
        return np.array([len(one) for one in self.sequences], dtype=np.int64)

    def accounting(self) -> dict[str, int]:
        """Records read, and what became of each."""
        counts = {"records": self.read, "used": len(self.ids), "merged": self.merged, "rejected": len(self.rejects)}
        return counts | {"distinct_sequences": len(self.sequences)}


def read_library(kind: Kind, path: Path, rules: Rules) -> Library:
    """The library in a FASTA file, cleaned by `rules`; raises `InputError` where no record of it can be used."""
    rejects = Rejects()
    table = rules.read(TABLE[kind], path, rejects)
    if not table.sequences:
        raise InputError("\n".join([*told(path, rejects.kept), f"{path}: no record of the file can be used."]))
    return library_of(table.sequences, table.read, table.merged, rejects.kept, table.notes)


def told(path: Path, rejects: Sequence[Reject]) -> list[str]:
    """Lines for people on records that cannot be used: of many the first ones."""
    more = [f"... and {len(rejects) - _SHOWN:,} more."] if len(rejects) > _SHOWN else []
    return [*(f"{path}:{one.line}: {one.id}: {one.reason}. {one.fix}" for one in rejects[:_SHOWN]), *more]


def library_of(
    by_id: dict[str, str], read: int = 0, merged: int = 0, rejects: Sequence[Reject] = (), notes: Sequence[str] = ()
) -> Library:
    """The library of sequences by their ids."""
    sequences = sorted(set(by_id.values()), key=lambda one: (len(one), one))
    number = {one: place for place, one in enumerate(sequences)}
    of = np.fromiter((number[one] for one in by_id.values()), dtype=np.int64, count=len(by_id))
    order, names = np.argsort(of, kind="stable"), list(by_id)
    first = np.searchsorted(of[order], np.arange(len(sequences) + 1))
    return Library(
        sequences,
        [names[place] for place in order.tolist()],
        first.astype(np.int64),
        order.astype(np.int64),
        read,
        merged,
        list(rejects),
        list(notes),
    )


def write_library(folder: Path, library: Library) -> None:
    """Publish a library for the jobs of a screen, as `StoredLibrary` reads it."""
    Texts.write(folder / _SEQUENCES, library.sequences)
    Texts.write(folder / _IDS, library.ids)
    write_arrays(folder / _INDEX, {"first": library.first, "place": library.place}, {"library": library.digest})


class StoredLibrary:
    """A library in a folder; texts stay on disk."""

    def __init__(self, folder: Path, digest: str) -> None:
        """Raises `CorruptError` where it is not the library with this digest."""
        try:
            self.sequences, self.ids = Texts(folder / _SEQUENCES), Texts(folder / _IDS)
        except (OSError, ValueError) as error:
            raise CorruptError(f"{folder}: cannot be read ({error}). Start the same command again.") from None
        arrays = read_arrays(folder / _INDEX, {"library": digest})
        self._first, self._place = arrays["first"], arrays["place"]

    def __len__(self) -> int:
        """Distinct sequences."""
        return len(self._first) - 1

    def names(self, numbers: IntArray) -> tuple[IntArray, list[str]]:
        """All ids of the sequences `numbers`, [n]: for each id which of the n it belongs to, [ids], and the ids."""
        counts = self.num_ids(numbers)
        of = np.repeat(np.arange(len(numbers)), counts)
        within = np.arange(len(of)) - np.repeat(np.cumsum(counts) - counts, counts)
        return of, self.ids.take(self._first[numbers][of] + within)

    def num_ids(self, numbers: IntArray) -> IntArray:
        """How many ids each of the sequences `numbers` has; [n] both."""
        return np.asarray(self._first[numbers + 1] - self._first[numbers], dtype=np.int64)

    def first_names(self, numbers: IntArray) -> list[str]:
        """The first id of each of the sequences `numbers`, [n]."""
        return self.ids.take(self._first[numbers])

    def places(self, number: int) -> list[int]:
        """Of each id of a sequence which of the usable records of the file it was, from 0."""
        return [int(one) for one in self._place[self._first[number] : self._first[number + 1]]]

    @staticmethod
    def sequences_file(folder: Path) -> Path:
        """The sequences, as `Texts`."""
        return folder / _SEQUENCES
