"""The sequences of both sides, from FASTA files or from the pair table, and how a row of the table finds its own."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import NamedTuple

from hpc.told import did
from snw_dist.config_data import DataSection
from snw_dist.data.files.cells import as_text
from snw_dist.data.files.columns import IsKnown
from snw_dist.data.files.entries import Wanted, read_cells
from snw_dist.data.files.inputs import InputFiles, Table
from snw_dist.data.files.rejects import Rejects
from snw_dist.data.records.cleaning import clean_sequence
from snw_dist.data.records.ids import Lookup, known_in, lookups
from snw_dist.data.records.in_table import PROTEIN, InTable
from snw_dist.data.records.sequences import SequenceTable, read_sequences
from snw_dist.data.symmetric import both_sides, nothing_more, same_file, without_known

_TABLES: dict[str, Table] = {"ligand": "ligands", "receptor": "receptors"}
_NOTHING = SequenceTable({}, 0, 0, {}, [])


class Sides(NamedTuple):
    """Ligands and receptors, in this order."""

    read: tuple[SequenceTable, SequenceTable]
    """What each source gave."""
    tables: tuple[SequenceTable, SequenceTable]
    """All that a row may name on each side: with `data.symmetric` the same sequences for both."""
    found_by: tuple[Lookup | InTable, Lookup | InTable]
    is_known: IsKnown
    """Whether a text is an id or a sequence of a FASTA file, and so no name of a column."""


def wanted_columns(data: DataSection) -> Wanted:
    """What is read of the pair table."""
    columns = {key: name for key, name in dataclasses.asdict(data.columns).items() if name}
    if data.split.method != "column":
        del columns["split"]
    if data.scores.term is not None:
        del columns["label"]
        columns["score"] = data.scores.term
    return Wanted(columns, data.scores.description, data.columns.may_lack)


def read_sides(inputs: InputFiles, data: DataSection, rejects: Rejects) -> Sides:
    """Read and clean the sequences; bad records of a FASTA file go to `rejects`, bad rows are told when they are read.

    Raises `InputError` for a file that cannot be read, and for a table without the columns that are wanted.
    """
    if data.symmetric:
        return _one_set(inputs, data, rejects)
    of_fasta = {
        kind: _of_fasta(table, inputs, data, rejects) for kind, table in _TABLES.items() if table in inputs.paths
    }
    ligands, receptors = (of_fasta.get(kind, _NOTHING) for kind in _TABLES)
    in_table = {kind: _in_table(kind, [kind], inputs, data) for kind in _TABLES if kind not in of_fasta}
    is_known = known_in(ligands, receptors)
    _read_rows(inputs, data, is_known, in_table)
    tables = [in_table[kind].table(inputs.names["pairs"]) if kind in in_table else of_fasta[kind] for kind in _TABLES]
    ids = lookups(ligands, receptors)
    found_by = in_table.get("ligand", ids[0]), in_table.get("receptor", ids[1])
    return Sides((tables[0], tables[1]), (tables[0], tables[1]), found_by, is_known)


def _one_set(inputs: InputFiles, data: DataSection, rejects: Rejects) -> Sides:
    """Of `data.symmetric`; the second source counts what the first has not."""
    if "ligands" not in inputs.paths:
        proteins = _in_table(PROTEIN, list(_TABLES), inputs, data)
        _read_rows(inputs, data, lambda text: False, dict.fromkeys(_TABLES, proteins))
        read = proteins.table(inputs.names["pairs"]), _NOTHING
        return Sides(read, both_sides(*read), (proteins, proteins), lambda text: False)
    paths = inputs.paths["ligands"], inputs.paths["receptors"]
    ligands = _of_fasta("ligands", inputs, data, rejects)
    if same_file(paths):
        receptors = nothing_more(ligands)
    else:
        receptors = without_known(ligands, _of_fasta("receptors", inputs, data, rejects), paths)
    tables = both_sides(ligands, receptors)
    return Sides((ligands, receptors), tables, lookups(*tables), known_in(*tables))


def _of_fasta(table: Table, inputs: InputFiles, data: DataSection, rejects: Rejects) -> SequenceTable:
    return read_sequences(
        table,
        inputs.paths[table],
        inputs.names[table],
        rejects,
        non_standard=data.non_standard,
        min_length=data.min_length,
        max_length=data.max_length,
    )


def _in_table(kind: str, sides: list[str], inputs: InputFiles, data: DataSection) -> InTable:
    clean = functools.partial(
        clean_sequence, non_standard=data.non_standard, min_length=data.min_length, max_length=data.max_length
    )
    columns = [getattr(data.columns, f"{side}_sequence") for side in sides]
    return InTable(kind, inputs.paths["pairs"], columns, clean)


def _read_rows(inputs: InputFiles, data: DataSection, is_known: IsKnown, sides: Mapping[str, InTable]) -> None:
    """Give each side its cells of all rows: an id that stands for two sequences is known only at the end."""
    if not sides:
        return
    keys, table = read_cells(inputs.paths["pairs"], wanted_columns(data), is_known)
    places = {key: place for place, key in enumerate(keys)}
    for row in table.rows:
        did("records")
        for kind, side in sides.items() if not row.problem else ():
            identifier = as_text(row.cells[places[kind]]) if kind in places else None
            side.add(row.line, identifier, as_text(row.cells[places[f"{kind}_sequence"]]))
