"""From FASTA and pair table to the checked tables every later step reads; see `prepared` for reading them.

The data folder appears as a whole or not at all, and the same input gives the same bytes:

| file | columns or content |
|---|---|
| `sequences.parquet` | kind, id, sequence |
| `pairs.parquet` | ligand_id, receptor_id, label, positive, split, weight |
| `scores.parquet` | with `data.scores.term`, row by row beside the pairs: score, spread, decoys, inequality |
| `label_transform.json` | with `data.scores.term`: from score to label and back, see `transform` |
| `dropped.parquet` | ligand_id, receptor_id, reason: usable pairs that are left out |
| `rejects.csv` | file, line, id, reason, value |
| `summary.json` | counts, notes, what it was made from, SHA-256 of the other files |
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hpc.disk.files import atomic_write_json, file_digest
from hpc.disk.folder import new_folder
from hpc.told import long_work
from snw_dist.config import SnwConfig
from snw_dist.config_data import DataSection
from snw_dist.data.bound import refuse_other_pairs
from snw_dist.data.checked import Checked
from snw_dist.data.counts import check_splits, count_files, count_splits
from snw_dist.data.files.entries import read_entries
from snw_dist.data.files.inputs import Table, input_files
from snw_dist.data.files.rejects import MAX_SHOWN, Rejects, raise_rejects, rejects_csv, rejects_told
from snw_dist.data.made_from import made_from
from snw_dist.data.records.pairs import PairTable, pairs_of_rows
from snw_dist.data.records.rows import Rows, read_rows
from snw_dist.data.records.sequences import SequenceTable
from snw_dist.data.scores.decoys import pairs_of_decoys
from snw_dist.data.scores.labelling import with_labels
from snw_dist.data.sides import read_sides, wanted_columns
from snw_dist.data.splits.clusters import Distinct, distinct_sequences
from snw_dist.data.splits.split import check_split_names, fold_of, fractions
from snw_dist.data.summary import PrepareSummary
from snw_dist.data.symmetric import rows_in_order
from snw_dist.data.tables import DROPPED, PAIRS, REJECTS, SCORES, SEQUENCES, SUMMARY, TRANSFORM
from snw_dist.data.write_tables import write_dropped, write_pairs, write_scores, write_sequences


def prepare(config: SnwConfig) -> PrepareSummary:
    """Check and clean the inputs and write `config.data_folder`, replacing an older one; see the two parts."""
    return write_prepared(config, check_inputs(config))


def check_inputs(config: SnwConfig, *, stop_at_rejects: bool = True) -> Checked:
    """Read, check, split and label the inputs.

    Raises `InputError` for inputs that cannot be used at all, for splits that cannot be trained on, and, unless it is
    left to `write_prepared`, with `data.on_invalid = "error"` for any bad record (naming the first 10 by file:line).
    Raises `EnvironmentProblem` where MMseqs2 is needed and missing.
    """
    data, seed = config.data, config.split_seed
    inputs = input_files(*data.fasta, data.pairs)
    origin = made_from(inputs, data, seed)  # before reading: a file changed meanwhile is noticed next time
    paths, names = inputs.paths, inputs.names
    rejects = Rejects(MAX_SHOWN if data.on_invalid == "error" else None)
    with long_work("reading the sequences", unit="records"):
        sides = read_sides(inputs, data, rejects)
    ligands, receptors = sides.tables
    sequences: dict[Table, int] = {"ligands": sides.read[0].read, "receptors": sides.read[1].read}
    with rejects_told(rejects, paths, sequences), long_work(f"reading {names['pairs']}", unit="rows"):
        entries = read_entries(paths["pairs"], wanted_columns(data), sides.is_known)
        rows = read_rows(entries, _kind(data), names["pairs"], sides.found_by, rejects, data.scores.unit)
        if data.symmetric:
            rows = rows_in_order(rows, ligands.sequences, names["pairs"])
        pairs = _pairs(rows, names["pairs"], ligands, receptors, rejects, data)
    counts = count_files(*sides.read, rows.read, pairs, rejects.counts)
    distinct = _distinct(ligands, receptors, data)
    checked = Checked(inputs, ligands, receptors, distinct, rows, pairs, data.positive_from, rejects, counts, origin)
    if stop_at_rejects:
        _stop_at_rejects(checked, data)
    with rejects_told(rejects, paths, checked.read), long_work(f"splitting and labelling {len(pairs):,} pairs"):
        return _split_and_labelled(checked, data, seed)


def _split_and_labelled(checked: Checked, data: DataSection, seed: int) -> Checked:
    where = str(checked.inputs.paths["pairs"])
    checked = checked.without_undetermined()
    if data.split.method != "column":
        split = data.split
        shares = split.val_fraction, split.test_fraction, split.calibration_fraction
        parts = fold_of(split.folds, split.fold) if split.folds else fractions(*shares)
        checked = checked.with_split(split.method, parts, seed)
    used = np.unique(checked.pairs.split).tolist()
    check_split_names([checked.pairs.split_names[i] for i in used], where)
    if data.scores.term is not None:
        checked = _with_labels(checked, data)
    if data.negatives == "derangement":
        checked = checked.with_negatives(seed, data.pairs)
    check_splits(count_splits(checked.pairs, checked.positive, *checked.distinct), where)
    return checked


def write_prepared(
    config: SnwConfig,
    checked: Checked,
    given: Mapping[str, Any] | None = None,
    allow_changes: bool = False,
    approve: Callable[[Path], None] = lambda folder: None,
) -> PrepareSummary:
    """Write `config.data_folder`, replacing an older one.

    `given` are the data settings that came from the command line. `approve` is called with the new folder before it
    takes its place; when it raises, the older one stays. Raises `InputError` with `data.on_invalid = "error"` for any
    bad record, and, without `allow_changes`, where a network was trained on the older data and these have other pairs
    for it; then nothing is written. Raises `EnvironmentProblem` when the folder cannot be written.
    """
    inputs, pairs, tables = checked.inputs, checked.pairs, (checked.ligands, checked.receptors)
    _stop_at_rejects(checked, config.data)
    if not allow_changes:
        with rejects_told(checked.rejects, inputs.paths, checked.read):
            refuse_other_pairs(config, checked)
    with long_work(f"writing {len(pairs):,} pairs"), new_folder(config.data_folder) as folder:
        write_sequences(folder / SEQUENCES, *tables)
        write_pairs(folder / PAIRS, pairs, checked.positive, *tables)
        write_dropped(folder / DROPPED, checked.dropped, *tables)
        rejects = rejects_csv(checked.rejects, inputs.names, inputs.paths["pairs"].parent)
        (folder / REJECTS).write_text(rejects, encoding="utf-8")
        if checked.transform is not None:
            write_scores(folder / SCORES, pairs)
            atomic_write_json(folder / TRANSFORM, checked.transform.to_json())
        files = {path.name: file_digest(path) for path in sorted(folder.iterdir())}
        splits = count_splits(pairs, checked.positive, *checked.distinct)
        dropped = {reason: len(lost) for reason, lost in checked.dropped.items()}
        summary = PrepareSummary(
            checked.counts, splits, dropped, checked.notes, checked.origin, dict(given or {}), files
        )
        (folder / SUMMARY).write_text(summary.to_json(), encoding="utf-8")
        approve(folder)
    return summary


def _kind(data: DataSection) -> str:
    """What the values are: label, affinity or score (of a decoy)."""
    if data.scores.term is None:
        return "label"
    return "affinity" if data.scores.transform == "log_affinity" else "score"


def _pairs(
    rows: Rows, name: str, ligands: SequenceTable, receptors: SequenceTable, rejects: Rejects, data: DataSection
) -> PairTable:
    kind, how = _kind(data), data.scores
    if kind != "score":
        return pairs_of_rows(rows, kind, name, ligands, receptors, rejects)
    return pairs_of_decoys(rows, name, ligands, receptors, rejects, aggregate=how.aggregate, top_k=how.top_k, kt=how.kt)


def _distinct(ligands: SequenceTable, receptors: SequenceTable, data: DataSection) -> tuple[Distinct, Distinct]:
    split = data.split
    if data.symmetric:  # proteins are what receptors are
        both = distinct_sequences(ligands.sequences, split.clusters, split.receptor_identity, split.receptor_coverage)
        return both, both
    return (
        distinct_sequences(ligands.sequences, split.clusters, split.ligand_identity, split.ligand_coverage),
        distinct_sequences(receptors.sequences, split.clusters, split.receptor_identity, split.receptor_coverage),
    )


def _stop_at_rejects(checked: Checked, data: DataSection) -> None:
    if data.on_invalid == "error":
        raise_rejects(checked.rejects, checked.inputs.paths, checked.read)


def _with_labels(checked: Checked, data: DataSection) -> Checked:
    pairs, how = checked.pairs, data.scores
    pairs, transform = with_labels(
        pairs,
        list(checked.receptors.sequences),
        pairs.split == pairs.split_names.index("train"),
        kind=how.transform,
        per_receptor=how.per_receptor,
        clip=how.clip,
    )
    return dataclasses.replace(checked, pairs=pairs, transform=transform)
