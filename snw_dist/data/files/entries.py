"""One entry for each pair or decoy, whatever kind of file it stands in; what the cells mean is for `rows`.

| `data.pairs` | entries |
|---|---|
| CSV, TSV, Parquet | its rows |
| the same with `data.columns.score_file` | the decoys in the Rosetta file that each row names for its pair |
| Rosetta score or silent file | its decoys; `data.scores.description` finds ligand and receptor in the tag |
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from hpc.errors import InputError
from snw_dist.data.files.columns import MAKE_SPLIT, IsKnown
from snw_dist.data.files.pyrosetta import plain_tag
from snw_dist.data.files.rosetta import ENDINGS, is_rosetta, read_decoys
from snw_dist.data.files.table import Cell, RawTable, read_table

_MOST_TAG = 1_000
"""Characters of the name of a decoy: the user's expression may need time that grows with their square."""
_FIX_DECOY = "Correct or remove the line."
_FIX_FILE = "Correct the file or remove the row."
_NO_ROSETTA = f"it does not end in {', '.join(ENDINGS)}, nor begin with SCORE:, SEQUENCE: or an object in JSON"


class Entry(NamedTuple):
    """The cells of one pair or decoy, or the `problem` that keeps it from being used, and its `fix`."""

    file: int
    """Position in `Entries.files`."""
    line: int
    cells: tuple[Cell, ...]
    """In the order of `Entries.keys`."""
    problem: str = ""
    fix: str = ""


class Entries(NamedTuple):
    """All entries, to be read once."""

    keys: list[str]
    """What each cell of an entry is: a field of `data.columns`, or score."""
    other_columns: list[str]
    rows: Iterator[Entry]
    files: list[Path]
    """The pair table, and the score files it names as far as read."""
    notes: list[str]
    """What there is to say of the files."""


class Wanted(NamedTuple):
    """What is to be read of the pairs."""

    columns: Mapping[str, str]
    """From keys (see `Entries.keys`) to names; `score` to a column or a term."""
    description: str | None = None
    """The expression for tags."""
    may_lack: Collection[str] = ()
    """Keys whose columns need not be there."""


def read_entries(path: Path, wanted: Wanted, is_known: IsKnown = lambda text: False) -> Entries:
    """Open the pairs at `path`; `is_known` as in `read_table`.

    Raises `InputError` for a file that cannot
    be read at all, and for a kind of file that cannot hold what is wanted.
    """
    columns = wanted.columns
    if is_rosetta(path):
        return _of_rosetta_file(path, columns, wanted.description)
    if wanted.description is not None:
        raise InputError(
            f"{path}: data.scores.description is for a Rosetta file as data.pairs, and this is none: {_NO_ROSETTA}. "
            "Name the score file, or set data.scores.description to null."
        )
    keys, table = read_cells(path, wanted, is_known)
    if "score_file" in columns:
        return _of_score_files(path, columns["score"], keys, table)
    rows = (Entry(0, *row) for row in table.rows)
    return Entries(keys, table.other_columns, rows, [path], table.notes)


def read_cells(path: Path, wanted: Wanted, is_known: IsKnown) -> tuple[list[str], RawTable]:
    """The keys of the columns that are there, and the rows; decoys that stand in other files are not in it.

    Raises as `read_entries` does.
    """
    if is_rosetta(path):
        _refuse_columns(path, wanted.columns)
    elsewhere = ("score", "decoy") if "score_file" in wanted.columns else ()
    columns = {_setting(key): column for key, column in wanted.columns.items() if key not in elsewhere}
    table = read_table(path, columns, is_known, {_setting(key) for key in wanted.may_lack})
    keys = {_setting(key): key for key in wanted.columns}
    return [keys[setting] for setting in table.columns], table


def score_paths(path: Path, column: str) -> Iterator[Path]:
    """The score files that the pair table names in `column`, there or not."""
    for row in read_table(path, {_setting("score_file"): column}).rows:
        if not row.problem and row.cells[0]:
            yield path.parent / str(row.cells[0])


def _setting(key: str) -> str:
    return "data.scores.term" if key == "score" else f"data.columns.{key}"


def _refuse_columns(path: Path, columns: Mapping[str, str]) -> None:
    for key in ("ligand_sequence", "receptor_sequence"):
        if key in columns:
            side = key.removesuffix("_sequence")
            raise InputError(
                f"{path}: a Rosetta file has no column of sequences. Set {_setting(key)} to null, and name a FASTA "
                f"file as data.{side}s."
            )
    if "split" in columns:
        raise InputError(f"{path}: a Rosetta file has no splits. Have one made: {MAKE_SPLIT}.")
    for key in ("binary", "inequality", "decoy", "score_file"):
        if key in columns:
            raise InputError(f"{path}: a Rosetta file has no such column. Set {_setting(key)} to null.")


def _of_rosetta_file(path: Path, columns: Mapping[str, str], description: str | None) -> Entries:
    _refuse_columns(path, columns)
    if "score" not in columns or description is None:
        raise InputError(
            f"{path}: a Rosetta file needs data.scores.term, such as I_sc, and data.scores.description, such as "
            r"'(?P<receptor>[^_]+)_(?P<ligand>[^_]+)_\d+'."
        )
    expression = re.compile(description)
    # Where the tag is the name of a file, the expression may be for all of it or for what SCORE lines would say.

    def rows() -> Iterator[Entry]:
        for line, tag, score, problem in read_decoys(path, columns["score"]):
            if len(tag) > _MOST_TAG:
                problem = problem or f"the description {tag[:60]!r}... is longer than {_MOST_TAG:,} characters"
            match = None if problem else expression.fullmatch(tag) or expression.fullmatch(plain_tag(tag))
            if not problem and match is not None:
                yield Entry(0, line, (match["ligand"], match["receptor"], score, tag))
            else:
                mismatch = f"the description {tag[:60]!r} does not match data.scores.description"
                yield Entry(0, line, (), problem or mismatch, _FIX_DECOY)

    return Entries(["ligand", "receptor", "score", "decoy"], [], rows(), [path], [])


def _of_score_files(path: Path, term: str, keys: list[str], table: RawTable) -> Entries:
    file_at = keys.index("score_file")
    files = [path]
    first_line: dict[str, int] = {}

    def rows() -> Iterator[Entry]:
        for row in table.rows:
            if row.problem:
                yield Entry(0, *row)
                continue
            line, cells = row.line, row.cells
            name = str(cells[file_at] or "")
            try:
                if name in first_line:
                    raise InputError(f"the score file {name[:60]!r} is also named at line {first_line[name]}")
                decoys = list(read_decoys(_score_file(path.parent, name), term))
            except InputError as error:
                yield Entry(0, line, (), str(error).replace(f"{path.parent}/", ""), _FIX_FILE)
                continue
            first_line[name] = line
            files.append(path.parent / name)
            for decoy in decoys:
                yield Entry(len(files) - 1, decoy.line, (*cells, decoy.score, decoy.tag), decoy.problem, _FIX_DECOY)

    return Entries([*keys, "score", "decoy"], table.other_columns, rows(), files, table.notes)


def _score_file(folder: Path, name: str) -> Path:
    file = folder / name
    if not name or not file.is_file():
        raise InputError(
            f"the score file {name[:60]!r} is not there" if name else "the name of the score file is empty"
        )
    if not is_rosetta(file):
        raise InputError(f"the score file {name[:60]!r} is no Rosetta file: {_NO_ROSETTA}")
    return file
