r"""Cleaning rules for sequences and their ids; nothing is changed without being counted.

| in the file | rule |
|---|---|
| A C D E F G H I K L M N P Q R S T V W Y | accepted |
| the same in lower case | upper-cased, records counted, a note names the first file:line |
| blank or tab between letters, empty lines | removed, records counted, a note names the first file:line |
| one `*` at the very end | removed (it marks the stop), records counted, a note names the first file:line |
| B J O U X Z | `non_standard = "reject"`: record rejected; `"unknown"`: each becomes X, letters counted |
| nearly all letters those of nucleotides (A C G T U N), in a long record or a file | said, with each rejection too |
| header of a PIR file (`>P1;id`), whose next line is a title and no sequence | record rejected |
| any other `*`, `-` `.`, digits, `<pad>`, NUL, any other character | record rejected with line, column and character |
| no letters at all | record rejected |
| fewer than `min_length` or more than `max_length` letters | record rejected, never cropped |
| more than 16 Mi characters in a record | record rejected, whatever `max_length` says |
| empty id (`>` alone or followed by a blank) | record rejected |
| id with control or other unprintable characters, or over 500 characters | record rejected |
| same id and same (cleaned) sequence again | kept once, the others counted as merged |
| same id and another sequence | all records of the id rejected, naming the lines: none is the right one |

An id is only ever a value, never a path. Each FASTA file is an id namespace of its own.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from snw_dist.data.files.fasta import MAX_RECORD_CHARS, FastaRecord

STANDARD = "ACDEFGHIKLMNPQRSTVWY"
NON_STANDARD = "BJOUXZ"
NOT_STANDARD = "is not one of the 20 standard amino acids"
"""How a reason ends that holds only where such letters are to be rejected."""
MAX_ID_CHARS = 500
_MANY_LETTERS = 100
_NUCLEOTIDES = "ACGTUN"
_MOST_PROTEIN = 0.9
"""Share of letters of nucleotides beyond which it is none; proteins of some length have about a quarter."""

_LETTERS = STANDARD + NON_STANDARD
_ILLEGAL = re.compile(rf"[^{_LETTERS}{_LETTERS.lower()} \t\n]")
_UNUSUAL = re.compile(rf"[{NON_STANDARD}{NON_STANDARD.lower()}]")
_PIR = re.compile(r"(?:[PF]1|[DR][LC]|N[13]|XX);")
_CLEAN = str.maketrans(dict(zip(_LETTERS.lower(), _LETTERS, strict=True)) | dict.fromkeys(" \t\n"))
_TO_UNKNOWN = str.maketrans(dict.fromkeys("BJOUZ", "X"))


class Cleaned(NamedTuple):
    """A usable sequence and what was changed in it."""

    sequence: str
    lower_case: bool
    blanks: bool
    star: bool
    replaced: int
    """Letters that became X."""


class Problem(NamedTuple):
    """Why a record cannot be used."""

    line: int
    reason: str
    fix: str
    value: str


def id_problem(identifier: str) -> tuple[str, str] | None:
    """What is wrong with an id, wherever it stands, and the fix; None where nothing is."""
    if not identifier:
        return "the id is empty", "Put an id directly after >."
    if not identifier.isprintable():
        return "the id has unprintable characters", "Use visible ones only."
    if len(identifier) > MAX_ID_CHARS:
        return f"the id is longer than {MAX_ID_CHARS} characters", "Shorten it."
    return None


def check_id(record: FastaRecord) -> Problem | None:
    """What is wrong with the id of a record, if anything."""
    if problem := id_problem(record.id):
        return Problem(record.line, *problem, record.id or record.description)
    if _PIR.match(record.id):
        reason = "the record is one of a PIR file: the line after the header is a title"
        return Problem(record.line, reason, "Convert the file to FASTA.", record.id)
    return None


def clean_sequence(
    record: FastaRecord, non_standard: Literal["reject", "unknown"], min_length: int, max_length: int
) -> Cleaned | Problem:
    """Apply the table above to the letters of one record."""
    if record.overlong:
        reason = f"the record is longer than {MAX_RECORD_CHARS:,} characters"
        return Problem(record.line, reason, "Shorten or remove it.", record.text[:100])
    text = record.text.rstrip(" \t\n")
    star = text.endswith("*")
    text = text.removesuffix("*")
    if found := _ILLEGAL.search(text):
        return _bad_letter(record, found.start(), "is not an amino acid", "Remove or replace it.")
    unusual = _UNUSUAL.search(text)
    if unusual and non_standard == "reject":
        fix = 'Remove the record, or set data.non_standard = "unknown" to read it as X.'
        return _bad_letter(record, unusual.start(), NOT_STANDARD, fix)
    sequence = text.translate(_CLEAN)
    replaced = 0
    if unusual:
        replaced = sum(map(sequence.count, "BJOUZ"))
        sequence = sequence.translate(_TO_UNKNOWN)
    if not sequence:
        return Problem(record.line, "the sequence is empty", "Add its letters or remove the record.", "")
    if len(sequence) > max_length:
        reason = f"{len(sequence):,} residues, the most allowed is {max_length:,}"
        return Problem(record.line, reason, "Shorten it or raise data.max_length.", sequence)
    if len(sequence) < min_length:
        reason = f"{len(sequence):,} residues, the fewest allowed is {min_length:,}"
        return Problem(record.line, reason, "Remove it or lower data.min_length.", sequence)
    return Cleaned(sequence, not text.isupper(), " " in text or "\t" in text, star, replaced)


def _bad_letter(record: FastaRecord, position: int, what: str, fix: str) -> Problem:
    if _is_nucleotides(len(record.text), _num_nucleotides(record.text)):
        fix = "The record looks like nucleotides: translate it."
    elif record.text[position] == "*":
        fix = "It marks a stop: one alone may stand at the very end. Cut the sequence there or remove the record."
    before = record.text[:position]
    line = record.line + 1 + before.count("\n")
    column = position - (before.rfind("\n") + 1) + 1
    letter = record.text[position]
    return Problem(line, f"{letter!r} at column {column} {what}", fix, letter)


def _num_nucleotides(text: str) -> int:
    return sum(map(text.upper().count, f"{_NUCLEOTIDES} \t\n"))


def _is_nucleotides(letters: int, of_nucleotides: int) -> bool:
    """Proteins of some size have other letters; a few short peptides may not."""
    return letters >= _MANY_LETTERS and of_nucleotides > _MOST_PROTEIN * letters


class Nucleotides:
    """Counts the letters of nucleotides in the records of one file."""

    def __init__(self) -> None:
        self._letters = self._of_nucleotides = self._records = 0
        self._lines: list[int] = []

    def add(self, record: FastaRecord) -> None:
        """Count one record."""
        size, num = len(record.text), _num_nucleotides(record.text)
        self._records += 1
        self._letters, self._of_nucleotides = self._letters + size, self._of_nucleotides + num
        if _is_nucleotides(size, num):
            self._lines.append(record.line)

    def notes(self, name: str, what: str = "records") -> list[str]:
        """A sentence where the file, or some of its records, are not of proteins; `what` they are."""
        if _is_nucleotides(self._letters, self._of_nucleotides):
            which = "" if what == "records" else f" of the {what}"
            return [f"{name}: nearly all letters{which} are those of nucleotides (A C G T U N): translate them."]
        if not self._lines:
            return []
        some = f"{len(self._lines):,} of {self._records:,} {what}"
        return [f"{name}: {some} look like nucleotides (first at {name}:{self._lines[0]})."]


class Changes:
    """Counts what cleaning changed, with the first line of each kind of change."""

    def __init__(self) -> None:
        self.records: dict[str, int] = {}
        self.first: dict[str, int] = {}
        self.letters = 0

    def add(self, cleaned: Cleaned, line: int) -> None:
        """Count the changes of one record whose header is at `line`."""
        self.letters += cleaned.replaced
        found = (
            ("lower", cleaned.lower_case),
            ("blank", cleaned.blanks),
            ("star", cleaned.star),
            ("x", cleaned.replaced > 0),
        )
        for kind, present in found:
            if present:
                self.records[kind] = self.records.get(kind, 0) + 1
                self.first.setdefault(kind, line)

    def notes(self, name: str, what: str = "records") -> list[str]:
        """One sentence for each kind of change; `what` was changed."""
        sentences = {
            "lower": "with lower-case letters, read as upper case",
            "blank": "with blanks in the sequence, removed",
            "star": "with * at the end, the mark of a stop, removed",
            "x": f"with B, J, O, U or Z, {self.letters:,} letters replaced by X",
        }
        return [
            f"{name}: {self.records[kind]:,} {what} {sentence} (first at {name}:{self.first[kind]})."
            for kind, sentence in sentences.items()
            if kind in self.records
        ]
