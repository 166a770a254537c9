"""From FASTA and pair table to the checked tables every later step reads; see `prepared` for reading them.

The data folder holds `sequences.parquet` (kind, id, sequence), `pairs.parquet` (ligand_id, receptor_id,
label, positive, split), `rejects.csv` (file, line, id, reason, value) and `summary.json`. It appears as a
whole or not at all, and the same input gives the same bytes.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hpc.errors import InputError
from snw_dist.config import DataSection, SnwConfig
from snw_dist.data.digest import input_paths, made_from, short_names
from snw_dist.data.folder import new_folder
from snw_dist.data.pairs import PairTable, read_pairs
from snw_dist.data.rejects import MAX_SHOWN, Rejects, Table, raise_rejects, rejects_csv
from snw_dist.data.sequences import SequenceTable, read_sequences
from snw_dist.data.split import MADE_NAMES, check_split_names, random_split
from snw_dist.data.text import sha256_file

SEQUENCES, PAIRS, REJECTS, SUMMARY = "sequences.parquet", "pairs.parquet", "rejects.csv", "summary.json"
_ROWS_AT_ONCE = 1 << 20
_SEQUENCE_SCHEMA = pa.schema([(name, pa.string()) for name in ("kind", "id", "sequence")])
_PAIR_SCHEMA = pa.schema(
    [
        ("ligand_id", pa.string()),
        ("receptor_id", pa.string()),
        ("label", pa.float64()),
        ("positive", pa.bool_()),
        ("split", pa.string()),
    ]
)


@dataclass(frozen=True)
class FileCounts:
    """What became of the records of one input file."""

    read: int
    kept: int
    merged: int
    """Repeats of a record that is kept."""
    rejected: int


@dataclass(frozen=True)
class SplitCounts:
    """One split of the kept pairs."""

    pairs: int
    positives: int
    ligands: int
    """Distinct ligand ids; likewise `receptors`."""
    receptors: int
    ligands_in_train: int
    """Distinct ligand sequences of this split that train pairs have too; likewise `receptors_in_train`."""
    receptors_in_train: int


@dataclass(frozen=True)
class PrepareSummary:
    """The content of `summary.json`."""

    counts: dict[Table, FileCounts]
    splits: dict[str, SplitCounts]
    """In the order train, val, then by name."""
    notes: list[str]
    made_from: dict[str, Any]
    files: dict[str, str]
    """SHA-256 of the other files of the folder."""

    def to_json(self) -> str:
        """The text of `summary.json`."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"


def prepare(config: SnwConfig) -> PrepareSummary:
    """Check and clean the inputs and write `config.data_folder`, replacing an older one.

    Raises `InputError` for inputs that cannot be used at all, with `data.on_invalid = "error"` for any bad
    record (naming the first 10 by file:line), and for splits that cannot be trained on; then nothing is
    written. Raises `EnvironmentProblem` when the folder cannot be written.
    """
    data, seed = config.data, config.run.seed
    origin = made_from(data, seed)  # before reading: a file changed meanwhile is noticed next time
    paths = input_paths(data)
    names = short_names(paths)
    rejects = Rejects(MAX_SHOWN if data.on_invalid == "error" else None)
    ligands, receptors = (
        read_sequences(
            table,
            paths[table],
            names[table],
            rejects,
            non_standard=data.non_standard,
            min_length=data.min_length,
            max_length=data.max_length,
        )
        for table in ("ligands", "receptors")
    )
    columns = {key: name for key, name in dataclasses.asdict(data.columns).items() if name}
    pairs = read_pairs(paths["pairs"], names["pairs"], columns, ligands, receptors, data.positive_from, rejects)
    if data.on_invalid == "error":
        raise_rejects(rejects, paths, {"ligands": ligands.read, "receptors": receptors.read, "pairs": pairs.read})
    counts = _file_counts(ligands, receptors, pairs, rejects)
    pairs = _with_split(pairs, ligands, data, seed)
    splits = _check_splits(pairs, _count_splits(pairs, ligands, receptors), str(paths["pairs"]))
    notes = [*ligands.notes, *receptors.notes, *pairs.notes, *_unused(pairs, ligands, receptors, names)]
    with new_folder(config.data_folder) as folder:
        _write_sequences(folder / SEQUENCES, ligands, receptors)
        _write_pairs(folder / PAIRS, pairs, ligands, receptors)
        (folder / REJECTS).write_text(rejects_csv(rejects, names), encoding="utf-8")
        files = {name: sha256_file(folder / name) for name in (SEQUENCES, PAIRS, REJECTS)}
        summary = PrepareSummary(counts, splits, notes, origin, files)
        (folder / SUMMARY).write_text(summary.to_json(), encoding="utf-8")
    return summary


def _file_counts(
    ligands: SequenceTable, receptors: SequenceTable, pairs: PairTable, rejects: Rejects
) -> dict[Table, FileCounts]:
    counts: dict[Table, FileCounts] = {
        "ligands": FileCounts(ligands.read, len(ligands.sequences), ligands.merged, rejects.counts["ligands"]),
        "receptors": FileCounts(
            receptors.read, len(receptors.sequences), receptors.merged, rejects.counts["receptors"]
        ),
        "pairs": FileCounts(pairs.read, len(pairs.label), pairs.merged, rejects.counts["pairs"]),
    }
    for table, count in counts.items():
        assert count.read == count.kept + count.merged + count.rejected, (table, count)
    return counts


def _with_split(pairs: PairTable, ligands: SequenceTable, data: DataSection, seed: int) -> PairTable:
    """The pairs with their own split, or with one made at random where there is no column."""
    if data.columns.split:
        return pairs
    codes, sequences = _sequence_codes(ligands)
    split = random_split(codes[pairs.ligand], sequences, seed, data.val_fraction, data.test_fraction)
    note = f"Random split of the ligand sequences with seed {seed}; no ligand sequence is in two splits."
    return dataclasses.replace(pairs, split=split, split_names=list(MADE_NAMES), notes=[*pairs.notes, note])


def _sequence_codes(table: SequenceTable) -> tuple[NDArray[np.int64], list[str]]:
    """For each id the number of its distinct sequence, and these sequences."""
    code_of: dict[str, int] = {}
    codes = [code_of.setdefault(sequence, len(code_of)) for sequence in table.sequences.values()]
    return np.array(codes, np.int64), list(code_of)


def _count_splits(pairs: PairTable, ligands: SequenceTable, receptors: SequenceTable) -> dict[str, SplitCounts]:
    codes = [_sequence_codes(ligands)[0][pairs.ligand], _sequence_codes(receptors)[0][pairs.receptor]]
    train = pairs.split_names.index("train") if "train" in pairs.split_names else -1
    of_train = [np.unique(code[pairs.split == train]) for code in codes]
    counts = {}
    for name in sorted(pairs.split_names, key=lambda n: (n != "train", n != "val", n)):
        rows = pairs.split == pairs.split_names.index(name)
        shared = [np.isin(np.unique(code[rows]), known).sum() for code, known in zip(codes, of_train, strict=True)]
        counts[name] = SplitCounts(
            int(rows.sum()),
            int(pairs.positive[rows].sum()),
            len(np.unique(pairs.ligand[rows])),
            len(np.unique(pairs.receptor[rows])),
            int(shared[0]),
            int(shared[1]),
        )
    return counts


def _check_splits(pairs: PairTable, splits: dict[str, SplitCounts], where: str) -> dict[str, SplitCounts]:
    """The same counts, or `InputError` when they cannot be trained on and evaluated."""
    check_split_names([name for name, split in splits.items() if split.pairs], where)
    for name, split in splits.items():
        if not split.pairs:
            raise InputError(f"{where}: all pairs of split {name!r} were rejected. Correct them or remove the split.")
    train = splits["train"]
    if train.positives in (0, train.pairs):
        what = "no positive" if train.positives == 0 else "only positive"
        raise InputError(
            f"{where}: the train split has {what} pairs among {train.pairs:,}, so nothing can be learned. "
            "Check data.columns.label, data.columns.binary and data.positive_from."
        )
    return splits


def _unused(
    pairs: PairTable, ligands: SequenceTable, receptors: SequenceTable, names: Mapping[Table, str]
) -> list[str]:
    """A note for each file with sequences that are in no pair; they are kept, and embedded, all the same."""
    used = {"ligands": (ligands, pairs.ligand), "receptors": (receptors, pairs.receptor)}
    notes = []
    for table in ("ligands", "receptors"):
        sequences, index = used[table]
        num_unused = len(sequences.sequences) - len(np.unique(index))
        if num_unused:
            notes.append(f"{names[table]}: {num_unused:,} {table} are in no pair (kept).")
    return notes


def _write_sequences(path: Path, ligands: SequenceTable, receptors: SequenceTable) -> None:
    with pq.ParquetWriter(path, _SEQUENCE_SCHEMA) as writer:
        for kind, table in (("ligand", ligands), ("receptor", receptors)):
            items = list(table.sequences.items())
            for begin in range(0, len(items), _ROWS_AT_ONCE):
                ids, sequences = zip(*items[begin : begin + _ROWS_AT_ONCE], strict=True)
                writer.write_table(pa.table([pa.repeat(kind, len(ids)), ids, sequences], schema=_SEQUENCE_SCHEMA))


def _write_pairs(path: Path, pairs: PairTable, ligands: SequenceTable, receptors: SequenceTable) -> None:
    ids = [pa.array(table.sequences.keys(), pa.string()) for table in (ligands, receptors)]
    split_names = pa.array(pairs.split_names, pa.string())
    with pq.ParquetWriter(path, _PAIR_SCHEMA) as writer:
        for begin in range(0, len(pairs.label), _ROWS_AT_ONCE):
            rows = slice(begin, begin + _ROWS_AT_ONCE)
            columns = [
                ids[0].take(pa.array(pairs.ligand[rows])),
                ids[1].take(pa.array(pairs.receptor[rows])),
                pairs.label[rows],
                pairs.positive[rows],
                split_names.take(pa.array(pairs.split[rows])),
            ]
            writer.write_table(pa.table(columns, schema=_PAIR_SCHEMA))
