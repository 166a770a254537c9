"""Rows of the result: each hit with all ids of both sequences, and the columns that it has."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from snw_dist.arrays import FloatArray, IntArray
from snw_dist.scoring.columns import VERSION, Column, Scored, columns_of, described, percentile_meaning
from snw_dist.scoring.scorer import PairScorer
from snw_dist.scoring.scores import together
from snw_dist.screen.hits import Hits, Pairs, Sides
from snw_dist.screen.library import Kind, other

ALONE, SPECIFICITY = "snw_ligand_alone", "snw_specificity"
COUNT: dict[Kind, str] = {"receptor": "snw_num_receptors", "ligand": "snw_num_ligands"}
"""By who has a list."""
PERCENTILE, FIRST_PERCENTILE, P_VALUE = "snw_percentile", "snw_first_percentile", "snw_p_value"
_TEXT, _INT = pa.string(), pa.int64()
_TEXTS = [
    described("ligand", "id in the file of the ligands", _TEXT),
    described("receptor", "id in the file of the receptors", _TEXT),
    described("ligand_sequence", "cleaned", _TEXT),
    described("receptor_sequence", "cleaned", _TEXT),
]
_OF_LISTS: dict[Kind, list[pa.Field]] = {
    "receptor": [
        described("snw_rank", "place in the list of this receptor, 1 is the best; ids of one sequence share it", _INT),
        described(
            "snw_library_percentile",
            "share of the library's distinct ligands that the first stage ranks above it",
            unit="%",
        ),
        described(COUNT["receptor"], "receptors of the screen that have this ligand among their hits", _INT),
    ],
    "ligand": [
        described("snw_rank", "place in the list of this ligand, 1 is the best; ids of one sequence share it", _INT),
        described(COUNT["ligand"], "ligands of the library that have this receptor among their hits", _INT),
    ],
}
_OURS = [
    described(SPECIFICITY, "share of the other receptors of the screen that the ligand scores no higher with"),
    described(
        ALONE, "mean score that the network of the first stage gives this ligand with other receptors of training"
    ),
]
_FIRST = [
    described("snw_first_score", "score of the network of the first stage"),
    described("snw_first_rank", "place in the list of the first stage", _INT),
]
"""Where a second stage has ranked anew."""
_P_VALUE = described(
    P_VALUE, "(1 + calibration negatives that score as high or higher) / (1 + all calibration negatives)"
)


@dataclass(frozen=True)
class Ranking:
    """The bundle that has ranked the hits, and what the result says of them."""

    scorer: PairScorer
    by: Kind
    """Who has a list."""
    second: bool
    """It has looked again at the best of another network."""
    background: str | None = None
    """What scores are compared with, where they are."""
    promised: bool = False
    """There are calibration negatives to compare with."""

    @functools.cached_property
    def columns(self) -> list[Column]:
        """Those of `predict`."""
        return columns_of(self.scorer.bundle, members=False, trust=self.scorer.trust)

    @functools.cached_property
    def ours(self) -> list[pa.Field]:
        """Those of a screen alone."""
        columns = [*_OF_LISTS[self.by], *_OURS, *(_FIRST if self.second else [])]
        if self.background is not None:
            name = FIRST_PERCENTILE if self.second else PERCENTILE
            columns.append(described(name, percentile_meaning(self.background), unit="%"))
        return [*columns, _P_VALUE] if self.promised else columns

    @functools.cached_property
    def schema(self) -> pa.Schema:
        """All columns of the result."""
        fields = [*_TEXTS, *(column.field for column in self.columns), *self.ours]
        return pa.schema(fields, metadata={"snw_schema": str(VERSION)})


class Rows(NamedTuple):
    """Which rows hits have; every array is [rows]."""

    hit: IntArray
    owner: pa.Array
    """Ids."""
    partner: pa.Array
    """Ids."""


def table_of(hits: Hits, sides: Sides, ranking: Ranking) -> pa.Table:
    """The rows of some lists: owner after owner, for each of its ids in the order of the file, the best first."""
    pairs, schema = hits.pairs, ranking.schema
    ligands, receptors = sides.ligands.sequences.take(pairs.ligand), sides.receptors.sequences.take(pairs.receptor)
    scores = together(pairs.members, ranking.scorer.calibrations, ranking.scorer.bundle.says.mean)
    scored = Scored(ligands, receptors, scores, sides.receptors.first_names(pairs.receptor))
    values: dict[str, Any] = {column.name: column.make(scored) for column in ranking.columns}
    values |= {"ligand_sequence": ligands, "receptor_sequence": receptors, **_of_lists(pairs, len(sides.ligands))}
    values |= hits.said
    rows = _rows(pairs, sides)
    made = {sides.by: rows.owner, other(sides.by): rows.partner}
    for field in list(schema)[len(made) :]:
        one = pa.array(values.get(field.name, [None] * len(ligands)), field.type, from_pandas=True)
        made[field.name] = one.take(pa.array(rows.hit))
    return pa.Table.from_arrays([made[name] for name in schema.names], schema=schema)


def _rows(pairs: Pairs, sides: Sides) -> Rows:
    """All ids of the owner with all ids of its partner, of each hit; owners rise."""
    owner, partner = pairs.of(sides.by), pairs.of(other(sides.by))
    (of_owner, owners), (_, partners) = sides.owners.names(owner), sides.ranked.names(partner)
    ids = sides.ranked.num_ids(partner)
    times = ids[of_owner]
    which = np.repeat(np.arange(len(of_owner)), times)
    hit = of_owner[which]
    name = (np.cumsum(ids) - ids)[hit] + np.arange(len(which)) - np.repeat(np.cumsum(times) - times, times)
    number = which - np.searchsorted(of_owner, hit)
    order = np.lexsort((hit, number, owner[hit]))
    taken = (
        pa.array(texts, pa.string()).take(pa.array(of[order])) for texts, of in ((owners, which), (partners, name))
    )
    return Rows(hit[order], *taken)


def _of_lists(pairs: Pairs, num_ligands: int) -> dict[str, Any]:
    library: FloatArray = 100.0 * (pairs.first_rank - 1) / num_ligands
    first = {"snw_first_score": pairs.first_score.astype(np.float64), "snw_first_rank": pairs.first_rank}
    return {"snw_rank": pairs.rank, "snw_library_percentile": library, **first}
