"""Every ligand with every receptor: records of FASTA files, or what was given on the command line."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from hpc.errors import InputError
from snw_dist.data.files.fasta import read_fasta
from snw_dist.data.files.rejects import shorten
from snw_dist.data.records.cleaning import check_id
from snw_dist.scoring.table.sides import Ids, Refused, Side, pair_of
from snw_dist.scoring.table.source import CHUNK_ROWS, Chunk, Source, cells_table
from snw_dist.scoring.table.survey import Counting, Survey

MOST_PAIRS = 1_000_000
"""More are not written without `--top`."""


class Record(NamedTuple):
    """One sequence of a side, or why there is none."""

    name: str
    sequence: str | Refused


def product_source(
    sides: tuple[Side, Side], files: tuple[Path | None, Path | None], top: int | None, rows: int = CHUNK_ROWS
) -> Source:
    """All ligands with the first receptor, then with the next; a record that cannot be used has rows, too.

    Raises `InputError` for more pairs than are written without `top`.
    """
    ligands, receptors = (read_records(side, path) for side, path in zip(sides, files, strict=True))
    refuse_too_many(len(ligands), len(receptors), "ligands", top)
    fields = [pa.field(side.kind, pa.string()) for side in sides]

    def survey(stored: Callable[[str], bool]) -> Survey:
        good = [{one.sequence for one in side if isinstance(one.sequence, str)} for side in (ligands, receptors)]
        numbers = [sum(isinstance(one.sequence, str) for one in side) for side in (ligands, receptors)]
        counting = Counting(stored)
        counting.add_sides(len(ligands) * len(receptors), math.prod(numbers), *good)
        return counting.made()

    return Source(fields, lambda: _chunks(ligands, receptors, rows), {}, survey=survey)


def refuse_too_many(ligands: int, receptors: int, what: str, top: int | None) -> None:
    """Raise `InputError` for more pairs than are written without `top`; `what`: the ligands in a word."""
    count = ligands * receptors
    if count > MOST_PAIRS and top is None:
        raise InputError(
            f"{ligands:,} {what} with {receptors:,} receptors are {count:,} pairs, and more than "
            f"{MOST_PAIRS:,} are not written. Give --top N for the best N of each receptor."
        )


def read_records(side: Side, path: Path | None) -> list[Record]:
    """What was given for the side, or else all records of its file.

    Raises `InputError` for an id that stands for different sequences.
    """
    if side.given is not None:
        return [Record(*side.given)]
    assert path is not None
    found, ids = [], Ids(path)
    for record in read_fasta(path):
        problem = check_id(record)
        reason = Refused(f"{side.kind} {shorten(record.id)!r}: {problem.reason}") if problem else None
        long = Refused(f"{side.kind} {shorten(record.id)!r}: the record is too long") if record.overlong else None
        sequence = reason or long or side.clean(record.text)
        if isinstance(sequence, str):
            ids.add(record.id, record.line, sequence.encode())
        else:
            sequence = sequence._replace(id=shorten(record.id))
        found.append(Record(record.id, sequence))
    return found


def _chunks(ligands: Sequence[Record], receptors: Sequence[Record], rows: int) -> Iterator[Chunk]:
    count = len(ligands) * len(receptors)
    for start in range(0, count, rows):
        places = range(start, min(start + rows, count))
        pairs = [(ligands[place % len(ligands)], receptors[place // len(ligands)]) for place in places]
        names = [pa.array([pair[side].name for pair in pairs], pa.string()) for side in (0, 1)]
        yield Chunk(
            range(start + 1, places.stop + 1),
            range(start + 1, places.stop + 1),
            cells_table(names),
            [pair_of(ligand.sequence, receptor.sequence) for ligand, receptor in pairs],
        )
