"""Records that cannot be used: collected, shown to the user, or written to the reject table."""

from __future__ import annotations

import contextlib
import csv
import io
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from hpc.errors import InputError
from hpc.shown import spreadsheet_cell
from snw_dist.data.files.inputs import TABLES, Table

MAX_SHOWN = 10
REJECT_COLUMNS = ("file", "line", "id", "reason", "value")
"""Of every table of what was left out."""
_TOLD = 3
_MOST_NAMES = 50
_MAX_VALUE = 60


class Reject(NamedTuple):
    """One bad record: where it is, why it is bad, and what to do."""

    table: Table
    line: int
    id: str
    reason: str
    """Without the full stop."""
    fix: str
    value: str
    file: Path | None = None
    """Where it is not the file of the table itself, but one that the table names."""


class Rejects:
    """Collects bad records; counts all of them and keeps the first `limit` of them (all when `None`)."""

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self.kept: list[Reject] = []
        self.counts: Counter[str] = Counter()

    def add(
        self, table: Table, line: int, identifier: str, reason: str, fix: str, value: str = "", file: Path | None = None
    ) -> None:
        """Note one bad record of `table` at `line` (of `file`, which it names); long values are shortened."""
        self.counts[table] += 1
        if self.limit is None or len(self.kept) < self.limit:
            self.kept.append(Reject(table, line, shorten(identifier), reason, fix, shorten(value), file))

    @property
    def total(self) -> int:
        """Bad records of all tables."""
        return self.counts.total()


def shorten(text: str) -> str:
    """The text for a message: printable on one line, at most 60 characters."""
    text = text if len(text) <= _MAX_VALUE else f"{text[: _MAX_VALUE - 3]}..."
    return text if text.isprintable() else repr(text)[1:-1]


def shown_names(names: Sequence[str]) -> str:
    """The names for a message, of many the first ones."""
    more = f" and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else ""
    return (", ".join(map(shorten, names[:_MOST_NAMES])) or "none") + more


def raise_rejects(rejects: Rejects, paths: Mapping[Table, Path], read: Mapping[Table, int]) -> None:
    """Raise `InputError` with a line `file:line: id: reason. fix` for the first bad records, if any."""
    if not rejects.total:
        return
    lines = _lines(rejects, paths, MAX_SHOWN)
    if rejects.total > len(lines):
        lines.append(f"... and {rejects.total - len(lines):,} more bad records.")
    lines.append(
        f"Bad records: {_counts(rejects, read)}. Nothing was written. Correct them, or set "
        'data.on_invalid = "skip" (snw-dist prepare --on-invalid skip) to leave them out and list them in '
        "rejects.csv."
    )
    raise InputError("\n".join(lines))


@contextlib.contextmanager
def rejects_told(rejects: Rejects, paths: Mapping[Table, Path], read: Mapping[Table, int]) -> Iterator[None]:
    """An error in the block names the pairs, and says what was rejected before, which is often its cause.

    It is raised again as `InputError`.
    """
    try:
        yield
    except InputError as error:
        text = str(error)
        if not any(str(path) in text for path in paths.values()):
            text = f"{paths['pairs']}: {text}"
        if not rejects.total:
            raise InputError(text) from None
        lines = [text, f"Before that, bad records were left out: {_counts(rejects, read)}. The first:"]
        raise InputError("\n".join([*lines, *_lines(rejects, paths, _TOLD)])) from None


def _lines(rejects: Rejects, paths: Mapping[Table, Path], most: int) -> list[str]:
    """A line `file:line: id: reason. fix` for each of the first bad records."""
    return [
        f"{r.file or paths[r.table]}:{r.line}: {r.id + ': ' if r.id else ''}{r.reason}. {r.fix}".rstrip()
        for r in rejects.kept[:most]
    ]


def _counts(rejects: Rejects, read: Mapping[Table, int]) -> str:
    """So many of so many; of a table that is still being read only how many."""
    of = {table: f" of {count:,}" for table, count in read.items()}
    return ", ".join(f"{rejects.counts[t]:,}{of.get(t, '')} {t}" for t in TABLES if rejects.counts[t])


def rejects_csv(rejects: Rejects, names: Mapping[Table, str], base: Path) -> str:
    """The reject table as CSV text, ordered by file and line; files that a table names are told from `base`.

    A cell that a spreadsheet would run as a formula gets an apostrophe in front.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(REJECT_COLUMNS)
    for r in sorted(rejects.kept, key=lambda r: (TABLES.index(r.table), str(r.file or ""), r.line)):
        cells = (names[r.table] if r.file is None else os.path.relpath(r.file, base), r.id, r.reason, r.value)
        name, identifier, reason, value = map(spreadsheet_cell, cells)
        writer.writerow((name, r.line, identifier, reason, value))
    return text.getvalue()
