"""The usable sequences of a FASTA file, cleaned by the rules of `cleaning`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hpc.told import did
from snw_dist.data.files.fasta import read_fasta
from snw_dist.data.files.inputs import Table
from snw_dist.data.files.rejects import Rejects
from snw_dist.data.records.cleaning import Changes, Nucleotides, Problem, check_id, clean_sequence


@dataclass(frozen=True)
class SequenceTable:
    """The usable sequences of one FASTA file in file order, and what became of the other records."""

    sequences: dict[str, str]
    read: int
    merged: int
    rejected_lines: dict[str, int]
    """A rejected id that is not in `sequences`, with its line."""
    notes: list[str]


class _ById:
    """Sequences by id: the same one again is merged, and an id that stands for different ones has none."""

    def __init__(self) -> None:
        self.sequences: dict[str, str] = {}
        self.merged: dict[str, list[int]] = {}
        self.conflicts: dict[str, list[int]] = {}
        self._first_line: dict[str, int] = {}

    def add(self, identifier: str, sequence: str, line: int) -> None:
        """Take one clean record whose header is at `line`."""
        known = self.sequences.get(identifier)
        if identifier in self.conflicts:
            self.conflicts[identifier].append(line)
        elif known is None:
            self.sequences[identifier] = sequence
            self._first_line[identifier] = line
        elif known == sequence:
            self.merged.setdefault(identifier, []).append(line)
        else:
            first = self._first_line[identifier]
            self.conflicts[identifier] = [first, *self.merged.pop(identifier, []), line]
            del self.sequences[identifier]


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
    """Read and clean one FASTA file by the rules of `cleaning`; bad records go to `rejects`, `name` to the notes."""
    by_id, changes, nucleotides = _ById(), Changes(), Nucleotides()
    rejected_lines: dict[str, int] = {}
    read = 0
    for record in read_fasta(path):
        read += 1
        did("records")
        nucleotides.add(record)
        cleaned = check_id(record) or clean_sequence(record, non_standard, min_length, max_length)
        if isinstance(cleaned, Problem):
            rejects.add(table, cleaned.line, record.id, cleaned.reason, cleaned.fix, cleaned.value)
            rejected_lines.setdefault(record.id, record.line)
            continue
        changes.add(cleaned, record.line)
        by_id.add(record.id, cleaned.sequence, record.line)
    for identifier, lines in by_id.conflicts.items():
        _reject_conflict(table, identifier, lines, rejects)
        rejected_lines[identifier] = lines[0]
    num_merged = sum(map(len, by_id.merged.values()))
    notes = [*changes.notes(name), *nucleotides.notes(name)]
    if num_merged:
        notes.append(f"{name}: {num_merged:,} repeated records (same id, same sequence) merged.")
    return SequenceTable(by_id.sequences, read, num_merged, rejected_lines, notes)


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
