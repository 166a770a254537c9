"""One piece of a table, scored: all of its rows, and what is known of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from snw_dist.scoring.columns import Column, Scored
from snw_dist.scoring.scorer import PairScorer
from snw_dist.scoring.table.finish import best_of_each
from snw_dist.scoring.table.sides import Pair, Refused
from snw_dist.scoring.table.source import Chunk


def scored_chunk(
    chunk: Chunk, scorer: PairScorer, columns: Sequence[Column], top: int | None, best: str = "row"
) -> pa.Table:
    """All rows of a chunk with `row`, `line`, `reason`, the user's cells and ours; with `top` the best and the refused.

    Then there are also `receptor` and `ligand`, the sequences. Equal pairs are scored once.
    """
    number: dict[Pair, int] = {}
    places = [None if isinstance(pair, Refused) else number.setdefault(pair, len(number)) for pair in chunk.pairs]
    ligands, receptors = [pair.ligand for pair in number], [pair.receptor for pair in number]
    facts: dict[str, Any] = {
        "row": pa.array(chunk.rows, pa.int64()),
        "line": pa.array(chunk.lines, pa.int64()),
        **{
            name: pa.array([getattr(pair, name, None) for pair in chunk.pairs], pa.string()) for name in Refused._fields
        },
    }
    found = pa.array(places, pa.int64())
    if top is not None:
        facts["ligand"], facts["receptor"] = (pa.array(one, pa.string()).take(found) for one in (ligands, receptors))
    scored = Scored(ligands, receptors, scorer.score_clean(ligands, receptors)) if number else None
    for column in columns:
        facts[column.name] = _values(column, scored).take(found)
    table = pa.table(facts)
    for name in chunk.cells.column_names:
        table = table.append_column(name, chunk.cells.column(name))
    if top is None:
        return table
    return pa.concat_tables([rejected(table), best_of_each([accepted(table)], top, best)])


def _values(column: Column, scored: Scored | None) -> pa.Array:
    """NaN is a row that has no such value."""
    return pa.nulls(0, column.kind) if scored is None else pa.array(column.make(scored), column.kind, from_pandas=True)


def accepted(piece: pa.Table) -> pa.Table:
    """The rows that have a score."""
    return piece.filter(pc.is_null(piece.column("reason")))


def rejected(piece: pa.Table) -> pa.Table:
    """The rows that have none."""
    return piece.filter(pc.is_valid(piece.column("reason")))
