"""Writing the tables of the data folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from snw_dist.data.records.pairs import PairTable
from snw_dist.data.records.sequences import SequenceTable
from snw_dist.data.tables import DROPPED_SCHEMA, PAIR_SCHEMA, SCORE_SCHEMA, SEQUENCE_SCHEMA

_ROWS_AT_ONCE = 1 << 20
_INEQUALITIES = pa.array(["<", "=", ">"])


def write_sequences(path: Path, ligands: SequenceTable, receptors: SequenceTable) -> None:
    """Kind, id and sequence, ligands first, in file order; those that both sides share (`symmetric`) once."""
    tables = [("ligand", ligands)]
    if receptors.sequences is not ligands.sequences:
        tables.append(("receptor", receptors))
    with pq.ParquetWriter(path, SEQUENCE_SCHEMA) as writer:
        for kind, table in tables:
            items = list(table.sequences.items())
            for begin in range(0, len(items), _ROWS_AT_ONCE):
                ids, sequences = zip(*items[begin : begin + _ROWS_AT_ONCE], strict=True)
                writer.write_table(pa.table([pa.repeat(kind, len(ids)), ids, sequences], schema=SEQUENCE_SCHEMA))


def write_pairs(
    path: Path, pairs: PairTable, positive: NDArray[np.bool_], ligands: SequenceTable, receptors: SequenceTable
) -> None:
    """The pairs in their order; `positive`: [num_pairs]."""
    ids = _ids(ligands, receptors)
    split_names = pa.array(pairs.split_names, pa.string())
    with pq.ParquetWriter(path, PAIR_SCHEMA) as writer:
        for begin in range(0, len(pairs), _ROWS_AT_ONCE):
            rows = slice(begin, begin + _ROWS_AT_ONCE)
            columns = [
                ids[0].take(pa.array(pairs.ligand[rows])),
                ids[1].take(pa.array(pairs.receptor[rows])),
                pairs.label[rows],
                positive[rows],
                split_names.take(pa.array(pairs.split[rows])),
                pairs.weight[rows],
            ]
            writer.write_table(pa.table(columns, schema=PAIR_SCHEMA))


def write_scores(path: Path, pairs: PairTable) -> None:
    """What the labels come from, a row for each row of the pairs; a spread that is not known is missing."""
    assert pairs.scores is not None
    score, spread, decoys, inequality = (getattr(pairs.scores, name) for name in SCORE_SCHEMA.names)
    spread = pa.array(spread, pa.float64(), from_pandas=True)
    columns = [score, spread, decoys, _INEQUALITIES.take(pa.array(inequality.astype(np.int64) + 1))]
    pq.write_table(pa.table(columns, schema=SCORE_SCHEMA), path)


def write_dropped(
    path: Path, dropped: Mapping[str, PairTable], ligands: SequenceTable, receptors: SequenceTable
) -> None:
    """Usable pairs that are left out, and the reason for each."""
    ids = _ids(ligands, receptors)
    with pq.ParquetWriter(path, DROPPED_SCHEMA) as writer:
        for reason, pairs in dropped.items():
            columns = [
                ids[0].take(pa.array(pairs.ligand)),
                ids[1].take(pa.array(pairs.receptor)),
                pa.repeat(reason, len(pairs)),
            ]
            writer.write_table(pa.table(columns, schema=DROPPED_SCHEMA))


def _ids(ligands: SequenceTable, receptors: SequenceTable) -> list[pa.Array]:
    return [pa.array(table.sequences.keys(), pa.string()) for table in (ligands, receptors)]
