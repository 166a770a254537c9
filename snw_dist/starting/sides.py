"""Which FASTA file is which side, which columns hold its ids, and what the pairs say of both sides."""

from __future__ import annotations

import itertools
import re
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple, Protocol

import numpy as np

from hpc.errors import InputError
from snw_dist.data.files.cells import as_text
from snw_dist.data.files.rejects import Rejects, shorten
from snw_dist.data.files.table import Cell
from snw_dist.data.records.ids import UnknownIdError, lookups
from snw_dist.data.records.sequences import SequenceTable, read_sequences
from snw_dist.starting.columns import Column

SIDES = ("ligand", "receptor")
_LIGAND = re.compile(r"lig|pep|epitop|antigen|binder|toxin|fragment", re.IGNORECASE)
_RECEPTOR = re.compile(r"rec(ep|_|\b)|hla|mhc|allele|target|protein|gpcr|kinase|enzyme|domain", re.IGNORECASE)
_ENOUGH = 0.5
"""Share of the cells of a column that are ids of a file, where it is a column of these."""
_ONE_SET = 0.1
"""Share of the sequences of a side that also stand on the other one, where the sides mean nothing."""


class Find(Protocol):
    """From what a cell says to a sequence."""

    table: SequenceTable

    def __call__(self, text: str, /) -> int:
        """The position of the sequence; raises `UnknownIdError`."""
        ...

    def finds(self, text: str, /) -> bool:
        """Whether a row with this text would be taken."""
        ...


class Side(NamedTuple):
    """The sequences of a side."""

    path: Path | None
    """The FASTA file; None where they stand in the pair table."""
    table: SequenceTable
    find: Find
    says: str
    """What they are, and which records cannot be used."""

    @property
    def name(self) -> str:
        """Of the file, if there is one."""
        return "" if self.path is None else self.path.name


class Matched(NamedTuple):
    """A side, and the column that has its ids or sequences."""

    side: Side
    column: Column
    number: int
    """Of the FASTA file, in the counts of columns."""


class Used(NamedTuple):
    """What the pairs use."""

    rows: int
    known: int
    """Rows of which both ids are known."""
    pairs: int
    """Different ones."""
    sequences: tuple[int, int]
    """Different ones of each side."""
    lengths: tuple[float, float]
    """Median length of these, in residues."""
    common: int
    """Sequences that stand on both sides."""

    @property
    def one_set(self) -> bool:
        """Whether the sides seem to mean nothing."""
        return self.common > _ONE_SET * min(self.sequences)


def read_sides(paths: Sequence[Path]) -> list[Side]:
    """The two FASTA files, or the one that stands for both; none where there is none."""
    if not paths:
        return []
    tables, texts = [], []
    for path in dict.fromkeys(paths):
        rejects = Rejects(1)
        table = read_sequences(
            "ligands", path, path.name, rejects, non_standard="reject", min_length=1, max_length=100_000
        )
        tables.append(table)
        texts.append(_says(path, table, rejects))
    finds = dict.fromkeys(lookups(tables[0], tables[-1]))
    parts = zip(dict.fromkeys(paths), tables, finds, texts, strict=False)
    return [Side(path, table, find, text) for path, table, find, text in parts]


def _says(path: Path, table: SequenceTable, rejects: Rejects) -> str:
    if not table.sequences:
        first = rejects.kept[0]
        raise InputError(f"{path}:{first.line}: none of its {table.read:,} records can be used: {first.reason}.")
    lengths = sorted(map(len, table.sequences.values()))
    text = f"{len(lengths):,} sequences of {lengths[0]:,} to {lengths[-1]:,} residues (median {median(lengths):g})"
    if rejects.total:
        first = rejects.kept[0]
        text += (
            f". {rejects.total:,} of {table.read:,} records cannot be used, the first at line {first.line}: "
            f"{first.reason}"
        )
    return text


def id_columns(columns: Sequence[Column], sides: Sequence[Side], given: dict[str, str], where: str) -> list[Column]:
    """The column with the ids of each file, or, where one file stands for both sides, the two columns with its ids.

    `given` are names by side where they are known already, and then the files are in the order of the sides. Raises
    `InputError` where no two columns hold ids.
    """
    num = len(sides)
    wanted = [[c for c in columns if given.get(side, c.name) == c.name] for side in SIDES]

    def found(pair: tuple[Column, ...]) -> tuple[float, int]:
        """Where ids are numbers, those of a label may be ids as well; but there are fewer different ones."""
        shares = [column.share(column.ids[n % num]) for n, column in enumerate(pair)]
        return sum(shares), sum(len(column.values) for column in pair)

    choices = [pair for pair in itertools.product(*wanted) if pair[0] is not pair[1]]
    best = max(choices, key=found, default=None)
    for number in range(2):
        side = sides[number % num]
        if best is None or best[number].share(best[number].ids[number % num]) < _ENOUGH:
            raise _no_ids(columns, side, number % num, where)
    assert best is not None
    return list(best)


def best_of_ids(columns: Sequence[Column], sides: Sequence[Side]) -> Matched | None:
    """The FASTA file whose ids a column holds, with that column; of several the one with most. None where none is."""
    options = [Matched(side, column, number) for number, side in enumerate(sides) for column in columns]
    best = max(options, key=_share, default=None)
    return best if best is not None and _share(best) >= _ENOUGH else None


def _share(one: Matched) -> float:
    return one.column.share(one.column.ids[one.number])


def _no_ids(columns: Sequence[Column], side: Side, number: int, where: str) -> InputError:
    """The error for a file whose ids no column holds, with what is wrong with the column that comes nearest."""
    text = f"{where}: no column holds ids of {side.name} (such as {shorten(next(iter(side.table.sequences)))!r})"
    named = [c for c in columns if c.example and not c.numbers]
    near = max(
        named, key=lambda c: (c.ids[number], bool(_LIGAND.search(c.name) or _RECEPTOR.search(c.name))), default=None
    )
    if near is None:
        return InputError(f"{text}. Each row must name a sequence of each side by its id, the first word after >.")
    try:
        side.find(near.example)
        told = f"{near.ids[number]:,} of {near.filled:,} cells of column {shorten(near.name)!r} are"
    except UnknownIdError as unknown:
        told = f"column {shorten(near.name)!r}: {shorten(near.example)!r}: {unknown.reason}. {unknown.fix}"
    return InputError(f"{text}. Nearest: {told}")


def used_by_pairs(rows: Iterable[tuple[Cell, ...]], finds: tuple[Find, Find]) -> Used:
    """What rows of two ids or sequences use; one that is not known is passed over."""
    left, right, num_rows = array("q"), array("q"), 0
    for first, second in rows:
        num_rows += 1
        one, other = as_text(first), as_text(second)
        if finds[0].finds(one) and finds[1].finds(other):
            left.append(finds[0](one))
            right.append(finds[1](other))
    found = np.array(left, np.int64), np.array(right, np.int64)
    distinct = [np.unique(side) for side in found]
    texts = [list(find.table.sequences.values()) for find in finds]
    used = [[texts[side][place] for place in distinct[side].tolist()] for side in (0, 1)]
    pairs = len(np.unique(found[0] * len(texts[1]) + found[1]))
    lengths = [float(median(map(len, side))) if side else 0.0 for side in used]
    sets = [set(side) for side in used]
    sizes = len(sets[0]), len(sets[1])
    return Used(num_rows, len(left), pairs, sizes, (lengths[0], lengths[1]), len(sets[0] & sets[1]))


def is_swapped(files: Sequence[str], columns: Sequence[str], lengths: tuple[float, float]) -> tuple[bool, str]:
    """Whether the second file is that of the ligands, and how one knows."""
    for names, what in ((files, "the files are named so"), (columns, "the columns are named so")):
        votes = [_vote(name) for name in names]
        if votes[0] != votes[1]:
            return votes[1] > votes[0], what
    shorter = f"the sequences are the shorter ones (median {min(lengths):g} and {max(lengths):g} residues)"
    return lengths[1] < lengths[0], shorter if lengths[0] != lengths[1] else "nothing tells, and it comes first"


def says_side(name: str) -> str | None:
    """The side that a name speaks of, if it is one of them."""
    vote = _vote(name)
    return None if vote == 0 else SIDES[vote < 0]


def _vote(name: str) -> int:
    return bool(_LIGAND.search(name)) - bool(_RECEPTOR.search(name))
