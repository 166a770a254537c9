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
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from snw_dist.data.files.fasta import MAX_RECORD_CHARS, FastaRecord, read_fasta
from snw_dist.data.files.rejects import Rejects, Table

STANDARD = "ACDEFGHIKLMNPQRSTVWY"
NON_STANDARD = "BJOUXZ"
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


@dataclass(frozen=True)
class SequenceTable:
    """The usable sequences of one FASTA file in file order, and what became of the other records."""

    sequences: dict[str, str]
    read: int
    merged: int
    rejected_lines: dict[str, int]
    """A rejected id that is not in `sequences`, with its line."""
    notes: list[str]


def read_sequences(
    table: Table,
    path: Path,
    name: str,
    rejects: Rejects,
    *,
    non_standard: Literal["reject", "unknown"],
    min_length: int,
    max_length: int,
) -> SequenceTable:
    """Read and clean one FASTA file by the rules above; bad records go to `rejects`, `name` to the notes."""
    sequences: dict[str, str] = {}
    first_line: dict[str, int] = {}
    merged: dict[str, list[int]] = {}
    conflicts: dict[str, list[int]] = {}
    rejected_lines: dict[str, int] = {}
    changes = _Changes()
    read, letters, of_nucleotides = 0, 0, 0
    like_nucleotides: list[int] = []
    for record in read_fasta(path):
        read += 1
        size, num = len(record.text), _num_nucleotides(record.text)
        letters, of_nucleotides = letters + size, of_nucleotides + num
        if _is_nucleotides(size, num):
            like_nucleotides.append(record.line)
        cleaned = check_id(record) or clean_sequence(record, non_standard, min_length, max_length)
        if isinstance(cleaned, Problem):
            rejects.add(table, cleaned.line, record.id, cleaned.reason, cleaned.fix, cleaned.value)
            rejected_lines.setdefault(record.id, record.line)
            continue
        changes.add(cleaned, record.line)
        known = sequences.get(record.id)
        if record.id in conflicts:
            conflicts[record.id].append(record.line)
        elif known is None:
            sequences[record.id] = cleaned.sequence
            first_line[record.id] = record.line
        elif known == cleaned.sequence:
            merged.setdefault(record.id, []).append(record.line)
        else:
            conflicts[record.id] = [first_line[record.id], *merged.pop(record.id, []), record.line]
            del sequences[record.id]
    for identifier, lines in conflicts.items():
        _reject_conflict(table, identifier, lines, rejects)
        rejected_lines[identifier] = lines[0]
    num_merged = sum(map(len, merged.values()))
    notes = changes.notes(name)
    if _is_nucleotides(letters, of_nucleotides):
        notes.append(f"{name}: nearly all letters are those of nucleotides (A C G T U N): translate them.")
    elif like_nucleotides:
        first = f"{name}:{like_nucleotides[0]}"
        notes.append(f"{name}: {len(like_nucleotides):,} of {read:,} records look like nucleotides (first at {first}).")
    if num_merged:
        notes.append(f"{name}: {num_merged:,} repeated records (same id, same sequence) merged.")
    return SequenceTable(sequences, read, num_merged, rejected_lines, notes)


def _num_nucleotides(text: str) -> int:
    return sum(map(text.upper().count, f"{_NUCLEOTIDES} \t\n"))


def _is_nucleotides(letters: int, of_nucleotides: int) -> bool:
    """Proteins of some size have other letters; a few short peptides may not."""
    return letters >= _MANY_LETTERS and of_nucleotides > _MOST_PROTEIN * letters


def check_id(record: FastaRecord) -> Problem | None:
    """What is wrong with the id of a record, if anything."""
    if not record.id:
        return Problem(record.line, "the id is empty", "Put an id directly after >.", record.description)
    if not record.id.isprintable():
        return Problem(record.line, "the id has unprintable characters", "Use visible ones only.", record.id)
    if len(record.id) > MAX_ID_CHARS:
        return Problem(record.line, f"the id is longer than {MAX_ID_CHARS} characters", "Shorten it.", record.id)
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
        return _bad_letter(record, unusual.start(), "is not one of the 20 standard amino acids", fix)
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


def _reject_conflict(table: Table, identifier: str, lines: list[int], rejects: Rejects) -> None:
    shown = ", ".join(map(str, lines[:5])) + (", ..." if len(lines) > 5 else "")
    for line in lines:
        rejects.add(
            table,
            line,
            identifier,
            f"the id stands for different sequences (lines {shown})",
            "Keep one of them or give them ids of their own.",
        )


class _Changes:
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

    def notes(self, name: str) -> list[str]:
        """One sentence for each kind of change."""
        sentences = {
            "lower": "with lower-case letters, read as upper case",
            "blank": "with blanks in the sequence, removed",
            "star": "with * at the end, the mark of a stop, removed",
            "x": f"with B, J, O, U or Z, {self.letters:,} letters replaced by X",
        }
        return [
            f"{name}: {self.records[kind]:,} records {sentence} (first at {name}:{self.first[kind]})."
            for kind, sentence in sentences.items()
            if kind in self.records
        ]
