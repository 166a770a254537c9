"""The whole of a first configuration, guess by guess."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from hpc.errors import InputError
from hpc.told import long_work
from snw_dist.config import TrainSection
from snw_dist.config_data import SplitSection
from snw_dist.data.files.inputs import Table
from snw_dist.data.files.names import all_cells, column_names
from snw_dist.data.files.rosetta import is_rosetta
from snw_dist.data.records.ids import known_in
from snw_dist.starting.columns import Column, counted, looks_like_protein
from snw_dist.starting.files import Found, found_files
from snw_dist.starting.guess import Guess
from snw_dist.starting.in_table import matched_in_table, naming_column
from snw_dist.starting.labels import guessed_label, kind_of, label_guesses
from snw_dist.starting.score_file import rows_of_tags, score_file_guesses
from snw_dist.starting.sides import (
    SIDES,
    Matched,
    Side,
    Used,
    best_of_ids,
    id_columns,
    is_swapped,
    read_sides,
    used_by_pairs,
)
from snw_dist.starting.splits import split_guesses

_FEWEST_STEPS = 4 * TrainSection().warmup_steps
_GIVEN = "given on the command line"
_OF_AFFINITY = ("data.positive_from", "data.columns.inequality", "data.scores.unit")
_OF_LABEL = ("data.columns.label", "data.scores.term")


def first_settings(
    folder: Path, base: Path, files: Mapping[Table, Path | None], given: Mapping[str, Any], run: str
) -> list[Guess]:
    """What to write into a configuration in the folder `base`, from files that were named or are in `folder`.

    `given` are settings that are known, by their keys; they are among the result, and nothing is guessed against them.
    Raises `InputError` where the files do not tell what is needed.
    """
    found = found_files(folder, files)
    guesses = [Guess("run.name", run, f"The results go to runs/{run}")]
    with long_work("looking at the files"):
        of_data, num_pairs = _of_data(found, base, given)
    guesses += of_data
    guesses += _of_network(guesses, given, num_pairs)
    known = {guess.key for guess in guesses}
    guesses = [Guess(g.key, given[g.key], _GIVEN) if g.key in given else g for g in guesses]
    return guesses + [Guess(key, value, _GIVEN) for key, value in given.items() if key not in known]


def _of_data(found: Found, base: Path, given: Mapping[str, Any]) -> tuple[list[Guess], int]:
    """What concerns the data, and how many pairs there are."""
    sides = read_sides(found.fasta)
    if is_rosetta(found.pairs):
        return _of_score_file(found, sides, base, given)
    finds = [side.find.finds for side in sides]
    known = known_in(sides[0].table, sides[-1].table) if sides else lambda text: False
    names = column_names(found.pairs, known, looks_like_protein)
    columns, _ = counted(names, all_cells(found.pairs, names), finds)
    named = {side: str(given[key]) for side in SIDES if (key := f"data.columns.{side}") in given}
    in_table = {side: str(given[key]) for side in SIDES if given.get(key := f"data.columns.{side}_sequence")}
    matched = _matched(found, sides, columns, named, in_table)
    cells = all_cells(found.pairs, [one.column.name for one in matched])
    used = used_by_pairs(cells, (matched[0].side.find, matched[1].side.find))
    one_source = (matched[0].side.path is None) == (matched[1].side.path is None)
    symmetric = bool(given.get("data.symmetric", used.one_set and one_source))
    swapped, why = _order(found, matched, used, symmetric, bool(named or in_table))
    if swapped:
        matched = matched[::-1]
        used = used._replace(sequences=used.sequences[::-1], lengths=used.lengths[::-1])
    ids = [one.column for one in matched]
    others = [column for column in columns if column not in ids]
    guesses = _of_files([one.side for one in matched], found.pairs, used, base, why, symmetric)
    of_files = matched[0].side.path not in (None, matched[1].side.path)  # then the file is said to be the ligands
    because = "" if of_files or symmetric else f". Taken as the ligands: {why}"
    guesses += _of_column("ligand", matched[0], because, found.pairs, others)
    guesses += _of_column("receptor", matched[1], "", found.pairs, others)
    guesses += [] if set(given) & set(_OF_LABEL) else _of_labels(others, str(found.pairs), used)
    if given.get("data.scores.transform", "log_affinity") != "log_affinity":  # then nM mean nothing any more
        if any(guess.value == "pK" for guess in guesses if guess.key == "data.scores.unit"):
            raise InputError(
                f"{found.pairs}: the affinities are pK, of which higher is better, and only data.scores.transform = "
                "log_affinity reads them so. Leave out --set data.scores.transform."
            )
        guesses = [guess for guess in guesses if guess.key not in _OF_AFFINITY]
    guesses += [] if "data.split.method" in given else split_guesses(others, used, symmetric)
    return guesses, used.pairs


def _matched(
    found: Found, sides: Sequence[Side], columns: Sequence[Column], named: dict[str, str], in_table: dict[str, str]
) -> list[Matched]:
    """Both sides: by ids of the FASTA files where columns have them, else by sequences in the table."""
    where = found.pairs
    if sides and not in_table:
        try:
            ids = id_columns(columns, sides, named if found.given or len(sides) == 1 else {}, str(where))
            return [Matched(sides[0], ids[0], 0), Matched(sides[-1], ids[1], len(sides) - 1)]
        except InputError:
            if not any(column.holds_sequences for column in columns):
                raise
    of_fasta = best_of_ids(columns, sides)
    matched = matched_in_table(columns, of_fasta, in_table, where)
    return matched[::-1] if found.receptors_alone and of_fasta and not in_table else matched


def _of_score_file(
    found: Found, sides: Sequence[Side], base: Path, given: Mapping[str, Any]
) -> tuple[list[Guess], int]:
    if len(sides) < 2:
        raise InputError(f"{found.pairs}: with a score file, ligands and receptors need a FASTA file each.")
    first, second = (float(median(map(len, side.table.sequences.values()))) for side in sides)
    names = [side.name for side in sides]
    swapped, why = (False, _GIVEN) if found.given else is_swapped(names, ("", ""), (first, second))
    sides = sides[::-1] if swapped else sides
    term, expression = given.get("data.scores.term"), given.get("data.scores.description")
    guesses = score_file_guesses(found.pairs, sides, term, expression)
    values = {guess.key: guess.value for guess in guesses} | dict(given)
    rows = rows_of_tags(found.pairs, values["data.scores.term"], values["data.scores.description"])
    used = used_by_pairs(rows, (sides[0].find, sides[1].find))
    split = [] if "data.split.method" in given else split_guesses([], used, symmetric=False)
    return [*_of_files(sides, found.pairs, used, base, why, symmetric=False), *guesses, *split], used.pairs


def _order(found: Found, matched: Sequence[Matched], used: Used, symmetric: bool, named: bool) -> tuple[bool, str]:
    """Whether the sides are the other way round, and how one knows."""
    if found.given or named:
        return False, _GIVEN
    if symmetric:
        return False, "it comes first"
    return is_swapped([one.side.name for one in matched], [one.column.name for one in matched], used.lengths)


def _of_files(sides: Sequence[Side], pairs: Path, used: Used, base: Path, why: str, symmetric: bool) -> list[Guess]:
    same = sides[0] is sides[1]
    first = f"{sides[0].says}. " + ("One file for both sides" if same else f"Taken as the ligands: {why}")
    texts = (first, sides[1].says)
    unknown = used.rows - used.known
    told = f"{used.known:,} of {used.rows:,} rows name two known sequences, {used.pairs:,} different pairs"
    if unknown:
        told += f". The other {unknown:,} are refused, or left out by snw-dist prepare --on-invalid skip"
    guesses = [
        Guess(f"data.{name}s", _path(side.path, base), text)
        for name, side, text in zip(SIDES, sides, texts, strict=True)
        if side.path is not None
    ]
    guesses.append(Guess("data.pairs", _path(pairs, base), told))
    if symmetric:
        told = f"{used.common:,} sequences stand on both sides of pairs, so the sides mean nothing: (A, B) is (B, A)"
        guesses.append(Guess("data.symmetric", True, told))
    return guesses


def _of_column(name: str, one: Matched, because: str, pairs: Path, others: Sequence[Column]) -> list[Guess]:
    """The column with the ids of a side, or that with its sequences and what names these."""
    key = f"data.columns.{name}"
    if one.side.path is not None:
        told = f"{one.column.ids[one.number]:,} of {one.column.filled:,} cells are ids of {one.side.name}"
        return [Guess(key, one.column.name, told + because)]
    naming = naming_column(pairs, one.column, others, name)
    told = "Each sequence has one name there" if naming else "Ids are made from the sequences; a peptide is its own id"
    return [
        Guess(f"{key}_sequence", one.column.name, one.side.says + because),
        Guess(key, naming and naming.name, told),
    ]


def _of_labels(columns: Sequence[Column], table: str, used: Used) -> list[Guess]:
    column, kind, why = guessed_label(columns, table)
    guesses = label_guesses(column, kind, why)
    if kind != "binary":
        binary = [other for other in columns if other is not column and kind_of(other) == "binary"]
        if len(binary) == 1 and len(binary[0].values) == 2:
            guesses.append(Guess("data.columns.binary", binary[0].name, "it says bound or not bound, for the metrics"))
    if kind in ("affinity", "higher"):
        signs = [other for other in columns if other.filled and other.signs == other.filled]
        guesses += [Guess("data.columns.inequality", other.name, "<, = or > for each affinity") for other in signs[:1]]
    if kind == "energy" and used.pairs < used.known:
        told = f"{used.known:,} rows are {used.pairs:,} pairs: rows of one pair are its decoys, and the lowest counts"
        guesses.append(Guess("data.scores.aggregate", "min", told))
    if kind in ("binary", "unit") and column.filled and column.low >= 1 and not column.words:
        told = "All pairs are positive, so negatives are made: in each split the ligands are dealt to other receptors"
        guesses.append(Guess("data.negatives", "derangement", told))
    return guesses


def _of_network(guesses: Sequence[Guess], given: Mapping[str, Any], num_pairs: int) -> list[Guess]:
    found = []
    if any(guess.key == "data.symmetric" and guess.value for guess in guesses):
        found.append(
            Guess("model.name", "siamese", "the network whose score does not depend on the order of the sides")
        )
    if (steps := _steps(num_pairs)) < _FEWEST_STEPS:
        told = f"The run has about {steps:,} steps, and the learning rate is to reach its highest value early"
        found.append(Guess("train.warmup_steps", max(1, steps // 10), told))
    if given.get("encoder.name", "esmc") == "esmc":
        small = "ESM C of 300 million parameters, fetched from the hub once. A file or folder may be named instead"
        found += [Guess("encoder.name", "esmc", "the trained one"), Guess("encoder.weights", "biohub/ESMC-300M", small)]
    return found


def _steps(num_pairs: int) -> int:
    """Of a run with the defaults, about."""
    train, split = TrainSection(), SplitSection()
    share = 1 - split.val_fraction - split.test_fraction
    return train.epochs * max(1, round(num_pairs * share / train.global_batch_size))


def _path(path: Path, base: Path) -> str:
    """As the configuration has it: relative where the file is below its folder."""
    full = path.absolute()
    relative = os.path.relpath(full, base.absolute())
    if not relative.isprintable():
        raise InputError(f"{str(path)!a}: the name has unprintable characters. Rename the file.")
    return str(full) if relative.startswith("..") else relative
