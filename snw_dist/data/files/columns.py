"""The wanted columns among the names of a pair table, and what is wrong where they are not found."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence

from hpc.errors import InputError
from snw_dist.data.files.cells import WORDS, is_number
from snw_dist.data.files.header import looks_like_data
from snw_dist.data.files.rejects import shorten, shown_names

_OPTIONAL = {f"data.columns.{key}" for key in ("binary", "inequality", "decoy", "score_file")}
"""Settings that are null where the table has no such column."""
MAKE_SPLIT = 'data.split.method = "ligand_cold", or "both_cold" with data.symmetric'
"""What to set where there is no column of splits."""
IsKnown = Callable[[str], bool]
"""Whether a text is an id or a sequence of the input."""


def refuse_data_as_header(where: str, names: Sequence[str], columns: Mapping[str, str], is_known: IsKnown) -> None:
    """Raise `InputError` where a column that is needed is missing, or found under a name that is an id.

    A file of one protein may have `receptor` as an id and as the name of a column: of names that were all found, each
    of the pair and its value must look like data.
    """
    missing = not set(columns.values()) <= set(names)
    of_pair = [name for setting, name in columns.items() if setting.endswith((".ligand", ".receptor"))]
    value = next((name for setting, name in columns.items() if setting.endswith((".label", ".term"))), "1")
    if not missing and not (is_number(value) or value.lower() in WORDS):
        return
    data = looks_like_data(names if missing else of_pair, is_known)
    if any(map(is_known, data)) and (missing or len(data) == len(of_pair)):
        raise InputError(
            f"{where}: the table seems to have no header line: its first line holds "
            f"{', '.join(repr(shorten(name)) for name in data[:3])}, of which at least one is an id or a sequence of "
            "the FASTA files. Put a line of names above it, such as ligand_id,receptor_id,label."
        )


def find_columns(where: str, header: Sequence[str], columns: Mapping[str, str]) -> list[int]:
    """The position of each of the wanted columns, `columns` being their names by setting.

    Raises `InputError` for one that is missing, there twice, or wanted twice.
    """
    indices: dict[int, str] = {}
    for setting, name in columns.items():
        if header.count(name) != 1:
            raise _no_column(where, header, columns, setting)
        index = header.index(name)
        if index in indices:
            raise InputError(f"{where}: {setting} and {indices[index]} both name {name!r}. Give each its own.")
        indices[index] = setting
    return list(indices)


def _no_column(where: str, header: Sequence[str], columns: Mapping[str, str], setting: str) -> InputError:
    """The error for a column that is not there, or twice."""
    name = columns[setting]
    have = shown_names(header)
    if name in header:
        return InputError(
            f"{where}: column {name!r} is there twice; the columns are: {have}. Rename one of "
            f"them, or set {setting} to another."
        )
    if 0 < len(header) < len(columns) and all(one in header[0] for one in columns.values()):
        return InputError(
            f"{where}: the names are there, but none of the separators that are read is between them: {have}. "
            "Separate the cells by commas, tabs or semicolons."
        )
    close = difflib.get_close_matches(name, header, n=1)
    hint = f", perhaps {shorten(close[0])!r}" if close else ""
    if setting in _OPTIONAL:
        hint += ", or take that setting out (null)"
    if f"{setting}_sequence" in columns:
        hint += ", or take that setting out (null): ids are then made from the sequences"
    elif setting.endswith((".ligand", ".receptor")):
        hint += f", or {setting}_sequence where the table has the sequences themselves"
    if setting.endswith(".split"):
        hint += f", or have one made: {MAKE_SPLIT}"
    elif 0 < len(numbers := [one for one in header if is_number(one)]) < len(header):
        hint += f", or put a line of names above it, if that line is a row ({shorten(numbers[0])} is a number)"
    return InputError(f"{where}: no column {name!r}; the columns are: {have}. Set {setting}{hint}.")
