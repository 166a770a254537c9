"""Curves of figures that a job appends to a file of JSON lines: read as it grows, each byte once, few points kept."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from hpc.disk.reading import BadFileError, open_regular, parse_json

MOST_POINTS = 400
"""Points of a curve that are kept; of more, every second one, every fourth one, and so on."""
MOST_BYTES = 64 * 2**20
"""Of a file that is longer the end alone is read, so that a look at a long run costs a moment."""
_PIECE = 2**20


class Curve(NamedTuple):
    """One figure by step; `x` and `y` are equally long."""

    name: str
    chart: str
    """Curves of one chart are drawn together."""
    x: Sequence[float]
    y: Sequence[float]


class Wanted(NamedTuple):
    """A curve of the records of one kind."""

    name: str
    chart: str
    kind: str
    key: str


@dataclass(frozen=True)
class Work:
    """What a job works on beside its own folder, as whoever gave it the work says: what a look at it can show."""

    checkpoints: Path
    """Folder of its checkpoints, which may not be there yet."""
    curves: CurveFile


WorkOf = Callable[[str, Mapping[str, Any], Path], Work | None]
"""From the entry point of a job, its plain data and the folder it was submitted for; None where nothing is known."""


def nothing_known(entry_point: str, config: Mapping[str, Any], folder: Path) -> Work | None:
    """For jobs that leave nothing to show beside their own folder."""
    return None


@dataclass
class _Kept:
    wanted: Wanted
    x: list[float] = field(default_factory=list)
    y: list[float] = field(default_factory=list)
    stride: int = 1
    seen: int = 0
    last: bytes = b""
    """The newest line, where it is none of those that are kept."""

    def take(self, line: bytes) -> None:
        """A record; most of a long file are not even parsed."""
        self.seen += 1
        self.last = line
        if (self.seen - 1) % self.stride == 0:
            self.last = b""
            for x, y in self._point(line):
                self.x.append(x)
                self.y.append(y)
        if len(self.x) > MOST_POINTS:
            self.x, self.y, self.stride = self.x[::2], self.y[::2], self.stride * 2

    def curve(self) -> Curve:
        """What is kept, and the newest point."""
        newest = self._point(self.last) if self.last else []
        x, y = [*self.x, *(x for x, _ in newest)], [*self.y, *(y for _, y in newest)]
        return Curve(self.wanted.name, self.wanted.chart, x, y)

    def _point(self, line: bytes) -> list[tuple[float, float]]:
        """One point, or none where the line is no record with two numbers."""
        try:
            record = parse_json(line, "")
            x, y = (record[key] for key in ("step", self.wanted.key))
        except (BadFileError, LookupError, TypeError):
            return []
        numbers = all(isinstance(value, int | float) and math.isfinite(value) for value in (x, y))
        return [(float(x), float(y))] if numbers else []


class CurveFile:
    """Reader of the curves in a file of records `{"kind": ..., "step": ..., KEY: ...}`, one a line.

    What is no such record is left out: this is for people who watch, `read_json_lines` is for results.
    """

    def __init__(self, path: Path, wanted: Sequence[Wanted]) -> None:
        self._path, self._wanted = path, tuple(wanted)
        self._marks = [f'"kind": "{each.kind}"'.encode() for each in wanted]
        self._begin(-1)

    def _begin(self, inode: int) -> None:
        self._inode, self._position, self._rest = inode, 0, b""
        self._kept = [_Kept(wanted) for wanted in self._wanted]

    def read(self) -> list[Curve]:
        """The curves by now; empty ones are left out. A file that was written anew is read anew."""
        try:
            descriptor = open_regular(self._path)
        except (OSError, BadFileError):
            return []
        try:
            self._read_new(descriptor)
        except OSError:  # on the way; what is known stands
            pass
        finally:
            os.close(descriptor)
        return [curve for kept in self._kept if (curve := kept.curve()).x]

    def _read_new(self, descriptor: int) -> None:
        status = os.fstat(descriptor)
        if status.st_ino != self._inode or status.st_size < self._position:
            self._begin(status.st_ino)
        start = max(self._position, status.st_size - MOST_BYTES)
        if start > self._position:
            self._rest = b"{"  # of the line in whose middle it begins no record comes
        self._position = start
        while piece := os.pread(descriptor, min(_PIECE, status.st_size - self._position), self._position):
            self._position += len(piece)
            *lines, self._rest = (self._rest + piece).split(b"\n")
            for line in lines:
                for kept, mark in zip(self._kept, self._marks, strict=True):
                    if mark in line:
                        kept.take(line)
