"""Streaming FASTA reader: where the records begin and end, not what their letters mean (see `sequences`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from hpc.errors import InputError
from snw_dist.data.files.text import read_lines

MAX_RECORD_CHARS = 1 << 24
"""Characters of one record held in memory; what follows is counted and dropped, and the record marked."""

_BLANK = re.compile(r"[ \t]+")


class FastaRecord(NamedTuple):
    """One record as it stands in the file."""

    file: Path
    line: int
    """Line of the header, from 1."""
    id: str
    """The header up to the first blank; may be empty, which is for the caller to reject."""
    description: str
    text: str
    """The sequence lines joined by newlines, so that a position still has a line and a column."""
    overlong: bool
    """The record was longer than the limit and `text` is only its beginning."""

    @property
    def sequence(self) -> str:
        """The letters without line breaks, not cleaned."""
        return self.text.replace("\n", "")


def read_fasta(path: Path, *, max_record_chars: int = MAX_RECORD_CHARS) -> Iterator[FastaRecord]:
    """Yield the records of a FASTA file, plain or `.gz`, holding one record in memory.

    Empty lines and blanks around lines are allowed anywhere. Raises `InputError` with file:line for text
    before the first header and for a file without any record, besides what `read_lines` raises.
    """
    header: str | None = None
    header_line, size = 0, 0
    parts: list[str] = []
    for number, line in enumerate(read_lines(path), start=1):
        if line.startswith(">"):
            if header is not None:
                yield _record(path, header_line, header, parts, size > max_record_chars)
            header, header_line, size, parts = line, number, 0, []
        elif header is not None:
            size += len(line) + 1
            if size <= max_record_chars:
                parts.append(line)
        elif line.strip(" \t"):
            raise InputError(
                f"{path}:{number}: text before the first header. A FASTA file begins with a line like >id."
            )
    if header is None:
        raise InputError(f"{path}:1: the file is empty. It must have at least one record: >id and a sequence.")
    yield _record(path, header_line, header, parts, size > max_record_chars)


def _record(path: Path, line: int, header: str, parts: list[str], overlong: bool) -> FastaRecord:
    identifier, *rest = _BLANK.split(header[1:], maxsplit=1)
    return FastaRecord(path, line, identifier, rest[0] if rest else "", "\n".join(parts), overlong)
