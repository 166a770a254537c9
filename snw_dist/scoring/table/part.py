"""A part of a table, for the tasks of an array: each scores its own, and no task needs another one.

A part is made of neighbouring pieces of the table. So the rows of all parts, one part behind the other, are the output
of the whole table. What became of a part is noted beside its output: so it is not scored again, and the parts can be
added up.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from hpc.disk.files import file_digest
from hpc.disk.reading import BadFileError
from hpc.disk.sealed import read_sealed, write_sealed
from hpc.errors import CorruptError, InputError
from hpc.told import tell
from snw_dist.scoring.table.source import Chunk, Source

_MOST = 100_000


class Part(NamedTuple):
    """Which part, and of how many."""

    number: int
    """From 1."""
    parts: int

    @staticmethod
    def of(text: str) -> Part:
        """The part that `3/8` means; raises `InputError` for other texts."""
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text, re.ASCII)
        part = Part(*map(int, found.groups())) if found else Part(0, 0)
        if not 1 <= part.number <= part.parts <= _MOST:
            raise InputError(f"--part {text}: give which part and of how many, such as 1/8 to 8/8.")
        return part

    def pieces(self, count: int) -> range:
        """Which of `count` pieces are of this part; the sizes of parts differ by one piece at most."""
        return range(count * (self.number - 1) // self.parts, count * self.number // self.parts)

    def named(self, output: Path) -> Path:
        """The output of this part; in the order of their names the parts are in that of the table."""
        return output.with_name(f"{output.stem}.{self.number:0{len(str(self.parts))}d}-of-{self.parts}{output.suffix}")


class PartOfSource:
    """The rows of one part of a source."""

    def __init__(self, whole: Source, part: Part) -> None:
        self._whole, self._part = whole, part

    @cached_property
    def counted(self) -> tuple[int, int]:
        """Pieces and rows of the whole source, which is read for this."""
        sizes = [len(chunk.pairs) for chunk in self._whole.chunks()]
        return len(sizes), sum(sizes)

    def chunks(self) -> Iterator[Chunk]:
        """As those of the whole."""
        own = self._part.pieces(self.counted[0])
        return itertools.islice(self._whole.chunks(), own.start, own.stop)

    def source(self) -> Source:
        """The part as a source of its own."""
        made_of = {**self._whole.made_of, "part": f"{self._part.number}/{self._part.parts}"}
        return Source(self._whole.fields, self.chunks, made_of, self._whole.notes, file=self._whole.file)

    def note_done(self, output: Path, rejected: Path, plan: Mapping[str, Any], counts: Mapping[str, int]) -> None:
        """Note what has become of the rows, once the output is whole."""
        digests = {path.name: file_digest(path) for path in (output, rejected) if path.exists()}
        table_rows = self.counted[1]
        write_sealed(_note(output), {"plan": plan, "counts": counts, "files": digests, "table_rows": table_rows})

    def sum_of_all(self, whole: Path) -> str:
        """In a line, what has become of the rows of all parts that are done; `whole`: the output without its part.

        Raises `CorruptError` where all are done and rows are lost.
        """
        part = self._part
        notes = [_read(Part(number, part.parts).named(whole)) for number in range(1, part.parts + 1)]
        own = notes[part.number - 1]
        done = [one for one in notes if one and own and _of_all_parts(one["plan"]) == _of_all_parts(own["plan"])]
        rows, written, rejected = (sum(one["counts"][name] for one in done) for name in ("rows", "written", "rejected"))
        if own and len(done) == part.parts and rows != own["table_rows"]:
            raise CorruptError(f"{whole}: all parts have {rows:,} rows, and the table {own['table_rows']:,}.")
        which = f"all {part.parts}" if len(done) == part.parts else f"{len(done)} of {part.parts}"
        return f"Parts done: {which}; rows in them: {rows:,} = {written:,} written + {rejected:,} rejected"


def done_before(output: Path, plan: Mapping[str, Any]) -> dict[str, int] | None:
    """What has become of the rows where this part is done by the same plan, and its files are as they were written."""
    note = _read(output)
    if note is None or note["plan"] != plan:
        return None
    for name, digest in note["files"].items():
        path = output.with_name(name)
        if not path.is_file() or file_digest(path) != digest:
            tell(f"{path}: missing or not as it was written. The part is scored again.")
            return None
    counts: dict[str, int] = note["counts"]
    return counts


def _note(output: Path) -> Path:
    return output.with_name(f".{output.name}.done.json")


def _read(output: Path) -> dict[str, Any] | None:
    try:
        return read_sealed(_note(output))
    except (OSError, BadFileError):
        return None


def _of_all_parts(plan: Mapping[str, Any]) -> dict[str, Any]:
    return {**plan, "made_of": {**plan["made_of"], "part": ""}}
