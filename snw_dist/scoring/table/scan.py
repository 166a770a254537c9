"""All windows of some lengths of the proteins of a FASTA file, as ligands of each receptor.

Each distinct window is scored once, and each of its places has a row. The proteins are read several times, each time
for the windows of one part (see `windows`): only these are in memory, however many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hpc.errors import InputError
from snw_dist.arrays import BoolArray, IntArray
from snw_dist.data.files.rejects import shorten
from snw_dist.scoring.percentile import Wanted
from snw_dist.scoring.table.product import Record, read_records, refuse_too_many
from snw_dist.scoring.table.proteins import Proteins, read_proteins, survey_proteins
from snw_dist.scoring.table.sides import Pair, Refused, Side, pair_of
from snw_dist.scoring.table.source import Chunk, Source, cells_table
from snw_dist.scoring.table.survey import Counting, Distinct, Survey
from snw_dist.scoring.table.windows import (
    Place,
    all_in,
    cut_windows,
    fingerprints,
    groups,
    in_part,
    windows_of,
)

CHUNK_ROWS = 1 << 15
"""Rows have few cells, and with `--top` only the best of a piece are kept: larger pieces than those of a table."""
PART_BYTES = 1 << 26
"""Of the windows that are in memory at once."""
FIELDS = [
    pa.field("protein", pa.string()),
    pa.field("position", pa.int64()),
    pa.field("length", pa.int64()),
    pa.field("ligand", pa.string()),
    pa.field("receptor", pa.string()),
]


def scan_source(
    sides: tuple[Side, Side],
    files: tuple[Path | None, Path | None],
    lengths: Sequence[int],
    top: int | None,
    rows: int = CHUNK_ROWS,
    part_bytes: int = PART_BYTES,
) -> Source:
    """The windows of all proteins of the file of the ligands with each receptor, in pieces of about `rows` rows.

    Raises `InputError` for a length that the networks do not take, a protein or a receptor that cannot be used, and for
    more rows than are written without `top`.
    """
    path = files[0]
    assert path is not None
    for length in lengths:
        if isinstance(found := sides[0].clean("A" * length), Refused):
            raise InputError(f"--scan {length}: {found.reason}.")
    receptors = read_records(sides[1], files[1])
    for receptor in receptors:
        if isinstance(receptor.sequence, Refused):
            raise InputError(f"{receptor.sequence.reason}. Mend or remove it: a scan needs all of its receptors.")
    proteins, notes = survey_proteins(path, lengths)
    refuse_too_many(proteins.numbering.total, len(receptors), "windows", top)

    def chunks() -> Iterator[Chunk]:
        parts = max(1, -(-proteins.numbering.total * (max(lengths) + 8) // part_bytes))
        for part in range(parts):
            windows, numbers = _part(proteins, part, parts)
            yield from _chunks(windows, numbers, proteins, sides[0], receptors, rows)

    def survey(stored: Callable[[str], bool]) -> Survey:
        return _counted(proteins, _letters_of(sides[0], max(lengths)), receptors, stored)

    def wanted() -> Wanted:
        found = Wanted()
        for length in lengths:
            windows = sum(windows_of(size, [length]) for size in proteins.numbering.sizes)
            for receptor in receptors if windows else ():
                if isinstance(receptor.sequence, str):
                    found.add(length, receptor.sequence, windows)
        return found

    made_of = {"scan": ",".join(map(str, lengths))}
    return Source(FIELDS, chunks, made_of, notes, survey, wanted, best="ligand", file=path.name)


def _letters_of(side: Side, length: int) -> BoolArray:
    """[256] whether a letter may be in a ligand, by the rules of the training data."""
    return np.array([not isinstance(side.clean(chr(code) * length), Refused) for code in range(256)])


def _counted(
    proteins: Proteins, allowed: BoolArray, receptors: Sequence[Record], stored: Callable[[str], bool]
) -> Survey:
    good, distinct = 0, Distinct()
    for letters in read_proteins(proteins.path):
        for length in proteins.numbering.lengths:
            numbers = fingerprints(letters, length)[all_in(allowed, letters, length)]
            distinct.add(numbers, np.full(len(numbers), length))
            good += len(numbers)
    counting = Counting(stored)
    sequences = {one.sequence for one in receptors if isinstance(one.sequence, str)}
    total = proteins.numbering.total
    counting.add_sides(total * len(receptors), good * len(receptors), set(), sequences)
    return counting.made(distinct.count())


def _part(proteins: Proteins, part: int, parts: int) -> tuple[npt.NDArray[np.bytes_], IntArray]:
    """The windows of one part [n] as texts, equal ones beside each other, and their numbers [n]."""
    lengths = proteins.numbering.lengths
    texts, numbers = [], []
    first = 0
    for letters in read_proteins(proteins.path):
        for length in lengths:
            chosen = in_part(fingerprints(letters, length), part, parts)
            texts.append(cut_windows(letters, chosen, length, max(lengths)))
            numbers.append(first + chosen)
            first += windows_of(len(letters), [length])
    windows, places = np.concatenate(texts), np.concatenate(numbers)
    order = np.argsort(windows, kind="stable")
    return windows[order], places[order]


def _chunks(
    windows: npt.NDArray[np.bytes_],
    numbers: IntArray,
    proteins: Proteins,
    side: Side,
    receptors: Sequence[Record],
    rows: int,
) -> Iterator[Chunk]:
    starts = np.flatnonzero(np.concatenate([[True], windows[1:] != windows[:-1]])) if len(windows) else numbers
    sizes = np.diff(np.concatenate([starts, [len(windows)]]))
    for group in groups(sizes * len(receptors), rows):
        texts = [text.decode() for text in windows[starts[group]].tolist()]
        which = np.repeat(np.arange(len(texts)), sizes[group])
        first = int(starts[group.start])
        own = numbers[first : first + len(which)]
        order = np.argsort(own)
        yield _chunk(texts, which[order], own[order], proteins, side, receptors)


def _chunk(
    texts: list[str],
    which: IntArray,
    numbers: IntArray,
    proteins: Proteins,
    side: Side,
    receptors: Sequence[Record],
) -> Chunk:
    """texts: the distinct windows; which, numbers: [places] the window at each place, and the number of the place."""
    total, times = proteins.numbering.total, len(receptors)
    places = proteins.numbering.places(numbers)
    ligands = [_ligand(side, text) for text in texts]
    pairs: list[Pair | Refused] = []
    for receptor in receptors:
        found = [pair_of(ligand, receptor.sequence) for ligand in ligands]
        pairs += [_at(found[one], place, proteins) for one, place in zip(which.tolist(), places, strict=True)]
    columns = [
        pa.array([proteins.names[place.protein] for place in places] * times, pa.string()),
        pa.array([place.position for place in places] * times, pa.int64()),
        pa.array([place.length for place in places] * times, pa.int64()),
        pa.array([texts[one] for one in which.tolist()] * times, pa.string()),
        pa.array([receptor.name for receptor in receptors for _ in places], pa.string()),
    ]
    rows = (numbers + 1 + total * np.arange(times)[:, None]).ravel().tolist()
    lines = [proteins.lines[place.protein] for place in places] * times
    return Chunk(rows, lines, cells_table(columns), pairs)


def _ligand(side: Side, text: str) -> str | Refused:
    """A mark of a stop at the end of a window is one within its protein."""
    found = side.clean(text)
    if isinstance(found, str) and len(found) < len(text):
        return Refused(f"ligand {text!r}: '*' at column {len(text)} is not an amino acid", text)
    return found


def _at(pair: Pair | Refused, place: Place, proteins: Proteins) -> Pair | Refused:
    if isinstance(pair, Pair):
        return pair
    name = shorten(proteins.names[place.protein])
    return pair._replace(reason=f"{pair.reason} (protein {name!r}, position {place.position})", id=name)
