"""Sequences that stand in the pair table itself, in place of ids of a FASTA file.

| in the table | rule |
|---|---|
| a sequence | cleaned by the rules of `cleaning`; what those reject, rejects the row |
| `NA`, `nan`, `None`, `null`, an empty cell | row rejected: the sequence is missing |
| no column of ids | the id is made from the sequence, see `made_id` |
| an id that is empty, unprintable or too long | row rejected |
| the same id and sequence in many rows | one sequence |
| the same id with another sequence | all rows of the id rejected, naming two lines: none is the right one |

Every row is told by its own line, so what becomes of sequences is counted with the pairs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from hpc.errors import InputError
from snw_dist.data.files.cells import MISSING
from snw_dist.data.files.fasta import MAX_RECORD_CHARS, FastaRecord
from snw_dist.data.files.rejects import shorten
from snw_dist.data.records.cleaning import Changes, Cleaned, Nucleotides, Problem, id_problem
from snw_dist.data.records.ids import UnknownIdError
from snw_dist.data.records.sequences import SequenceTable

MOST_NAMED = 50
"""Residues of a sequence that is its own id: a peptide."""
PROTEIN = "protein"
"""What a sequence is where the sides mean nothing."""
_MOST_SHOWN = 20
_BEGIN, _DIGEST = 8, 12
Clean = Callable[[FastaRecord], Cleaned | Problem]
_FILL_IN = "Fill it in or remove the row."


def made_id(sequence: str) -> str:
    """The id of a sequence that has none: a peptide itself; of others the beginning, the length and a SHA-256."""
    if len(sequence) <= MOST_NAMED:
        return sequence
    return f"{sequence[:_BEGIN]}_{len(sequence)}_{hashlib.sha256(sequence.encode()).hexdigest()[:_DIGEST]}"


class InTable:
    """From a row to its sequence, for one side, or for both where they are one set (`data.symmetric`).

    Each row is added first, then `table` has the sequences, and then each row finds its own.
    """

    def __init__(self, kind: str, path: Path, columns: Sequence[str], clean: Clean) -> None:
        """`columns`: the names of those with the sequences, for notes."""
        self.kind, self._path, self._columns, self._clean = kind, path, columns, clean
        self._read: dict[str, str | Problem] = {}
        """What a text is after cleaning."""
        self._first_line: dict[str, int] = {}
        self._conflicts: dict[str, int] = {}
        """Ids with different sequences: the line of the second one."""
        self._sequences: dict[str, str] = {}
        self._index: dict[str, int] = {}
        self._ids_made = False
        self._changes, self._nucleotides = Changes(), Nucleotides()

    def add(self, line: int, identifier: str | None, text: str) -> None:
        """Take what a row has in its cells; `identifier` is None where there is no column of ids."""
        if text not in self._read:
            self._read[text] = self._cleaned(line, text)
        sequence = self._read[text]
        if isinstance(sequence, Problem):
            return
        self._ids_made |= identifier is None
        name = made_id(sequence) if identifier is None else identifier
        if id_problem(name):
            return
        if self._sequences.setdefault(name, sequence) != sequence:
            self._conflicts.setdefault(name, line)
        self._first_line.setdefault(name, line)

    def table(self, name: str) -> SequenceTable:
        """The usable sequences in the order of the table, which is called `name` in notes."""
        usable = {one: sequence for one, sequence in self._sequences.items() if one not in self._conflicts}
        self._index = {identifier: place for place, identifier in enumerate(usable)}
        ids = "made from them" if self._ids_made else "those of the table"
        what = f"sequences in {' and '.join(map(shorten, self._columns))}"
        notes = [f"{name}: {len(usable):,} {self.kind}s are the {what}; their ids are {ids}."]
        notes += [*self._changes.notes(name, what), *self._nucleotides.notes(name, what)]
        return SequenceTable(usable, len(usable), 0, {}, notes)

    def position(self, identifier: str | None, text: str) -> int:
        """The position of the sequence in `table`; raises `UnknownIdError` for a row that has none.

        Raises `InputError` for a text that was not added: the table was changed meanwhile.
        """
        found = self._read.get(text)
        if found is None:
            raise InputError(f"{self._path}: was changed while it was read. Start the same command again.")
        if isinstance(found, Problem):
            raise UnknownIdError(text, found.reason, found.fix)
        name = made_id(found) if identifier is None else identifier
        if name in self._conflicts:
            lines = f"lines {self._first_line[name]} and {self._conflicts[name]}"
            settings = f"data.columns.{self.kind}" if self.kind != PROTEIN else "data.columns.ligand and .receptor"
            fix = f"Keep one, or set {settings} to null: ids are then made from the sequences."
            raise UnknownIdError(name, f"the {self.kind} id stands for different sequences ({lines})", fix)
        if name not in self._index:
            reason, fix = id_problem(name) or ("", "")
            raise UnknownIdError(name, f"{self.kind}: {reason}", fix if name else _FILL_IN)
        return self._index[name]

    def shown(self, identifier: str | None, text: str) -> str:
        """The id of a row, for messages."""
        if identifier is not None:
            return identifier
        found = self._read.get(text)
        return made_id(found) if isinstance(found, str) else text if len(text) <= _MOST_SHOWN else f"{text[:8]}..."

    def _cleaned(self, line: int, text: str) -> str | Problem:
        if not text or text in MISSING:
            shown = f" ({text})" if text else ""
            return Problem(line, f"the {self.kind} sequence is missing{shown}", _FILL_IN, text)
        record = FastaRecord(self._path, line, "", "", text, len(text) > MAX_RECORD_CHARS)
        self._nucleotides.add(record)
        cleaned = self._clean(record)
        if isinstance(cleaned, Problem):
            return cleaned._replace(reason=f"{self.kind} sequence {shorten(text)!r}: {cleaned.reason}")
        self._changes.add(cleaned, line)
        return text if cleaned.sequence == text else cleaned.sequence
