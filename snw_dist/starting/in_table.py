"""Columns of a table that hold the sequences themselves: which they are, what they are, and what names them."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from hpc.errors import InputError
from snw_dist.data.files.cells import as_text
from snw_dist.data.files.names import all_cells
from snw_dist.data.files.rejects import shown_names
from snw_dist.data.records.cleaning import clean_sequence
from snw_dist.data.records.ids import UnknownIdError
from snw_dist.data.records.in_table import MOST_NAMED, InTable
from snw_dist.starting.columns import Column
from snw_dist.starting.sides import SIDES, Matched, Side, says_side

_OF_NAMES = {"id", "name", "names", "allele", "accession", "uniprot", "gene", "symbol", "entry", "pdb"}


class OfColumn:
    """From a sequence as it stands in a column to its position, as `Lookup` does it for an id."""

    def __init__(self, path: Path, column: Column) -> None:
        clean = functools.partial(clean_sequence, non_standard="reject", min_length=1, max_length=100_000)
        self._in_table = InTable("sequence", path, [column.name], clean)
        for line, (cell,) in enumerate(all_cells(path, [column.name]), start=1):
            self._in_table.add(line, None, as_text(cell))
        self.table = self._in_table.table(path.name)

    def __call__(self, text: str) -> int:
        """Raises `UnknownIdError` where there is no usable sequence."""
        return self._in_table.position(None, text)

    def finds(self, text: str) -> bool:
        """Whether a row with this text would be taken."""
        try:
            self(text)
        except UnknownIdError:
            return False
        return True


def matched_in_table(
    columns: Sequence[Column], of_fasta: Matched | None, given: Mapping[str, str], path: Path
) -> list[Matched]:
    """The two sides where one of them, or both, stand in the table; `given` are names of columns that are known.

    With `given` they come as ligand and receptor, else nobody knows yet. Raises `InputError` where it is not clear
    which columns are meant.
    """
    by_side = {side: _matched(path, _column(columns, name, side, path)) for side, name in given.items()}
    taken = [one.column for one in by_side.values()]
    left = [column for column in columns if column.holds_sequences and column not in taken]
    if by_side:
        for side in SIDES:
            if side not in by_side:
                by_side[side] = of_fasta or _matched(path, _single(left, side, taken, path))
        return [by_side[side] for side in SIDES]
    if of_fasta is not None:
        return [of_fasta, _matched(path, _single(left, None, taken, path))]
    if len(left) != 2:
        left = [
            _single([column for column in left if says_side(column.name) == side], side, left, path) for side in SIDES
        ]
    return [_matched(path, column) for column in left]


def naming_column(path: Path, column: Column, columns: Sequence[Column], side: str) -> Column | None:
    """The column whose texts name the sequences of another, one name each; None where there is none, or no need.

    A peptide is a good name of itself. Candidates are called as names are, or as the side.
    """
    if column.mean_residues <= MOST_NAMED:
        return None
    options = [
        other
        for other in columns
        if other is not column
        and other.filled == column.filled
        and not other.numbers
        and not other.holds_sequences
        and says_side(other.name) in (None, side)
        and (other.tokens & _OF_NAMES or says_side(other.name) == side)
    ]
    ways: list[tuple[dict[str, str], dict[str, str]]] = [({}, {}) for _ in options]
    good = [True] * len(options)
    for row in all_cells(path, [column.name, *(other.name for other in options)]):
        sequence, *names = map(as_text, row)
        for place, name in enumerate(names):
            there, back = ways[place]
            same = there.setdefault(name, sequence) == sequence and back.setdefault(sequence, name) == name
            good[place] &= same and bool(name)
    named = [other for place, other in enumerate(options) if good[place] and len(ways[place][0]) > 1]
    return next((other for other in named if says_side(other.name) == side), named[0] if len(named) == 1 else None)


def _column(columns: Sequence[Column], name: str, side: str, path: Path) -> Column:
    found = next((column for column in columns if column.name == name), None)
    if found is None:
        have = shown_names([column.name for column in columns])
        raise InputError(f"{path}: no column {name!r}; the columns are: {have}. Set data.columns.{side}_sequence.")
    return found


def _single(options: Sequence[Column], side: str | None, others: Sequence[Column], path: Path) -> Column:
    """The only one, or the only one that its name gives to the side."""
    if len(options) > 1 and side is not None:
        options = [column for column in options if says_side(column.name) == side]
    if len(options) == 1:
        return options[0]
    seen = dict.fromkeys(column.name for column in (*options, *others))
    raise InputError(
        f"{path}: it is not clear where the sequences of both sides are. Columns that hold sequences: "
        f"{shown_names(list(seen))}. Name those that are meant, such as --set data.columns.ligand_sequence=NAME, or "
        "the FASTA files with the ids of the table: snw-dist init --ligands FASTA --receptors FASTA."
    )


def _matched(path: Path, column: Column) -> Matched:
    of_column = OfColumn(path, column)
    lengths = sorted(map(len, of_column.table.sequences.values()))
    if not lengths:
        raise InputError(
            f"{path}: column {column.name!r} has no sequence that can be used, such as {column.example!r}."
        )
    says = (
        f"{len(lengths):,} sequences of {lengths[0]:,} to {lengths[-1]:,} residues (median {median(lengths):g}) stand "
        "in the table, so no FASTA file is read for them"
    )
    return Matched(Side(None, of_column.table, of_column, says), column, 0)
