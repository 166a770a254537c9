"""Rows of the result: each hit of a receptor with all ids of both, and what is said of it."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch

from snw_dist.arrays import FloatArray, IntArray
from snw_dist.scoring.columns import VERSION, Column, Scored, columns_of
from snw_dist.scoring.scorer import PairScorer
from snw_dist.scoring.scores import together
from snw_dist.screen.library import StoredLibrary
from snw_dist.screen.ranked import Ranked
from snw_dist.screen.specificity import num_better, num_lists
from snw_dist.screen.towers import Towers
from snw_dist.screen.vectors import VectorSet

HITS_AT_ONCE = 1 << 16
"""Hits whose vectors are in memory together; but the list of one receptor is looked at as a whole."""
_OURS = (
    ("snw_rank", pa.int64(), "place in the list of this receptor, 1 is the best; ids of one sequence share it", None),
    (
        "snw_library_percentile",
        pa.float64(),
        "share of the library's distinct ligands that the first stage ranks above it",
        "percent",
    ),
    ("snw_specificity", pa.float64(), "share of the other receptors of the screen that it scores no higher with", None),
    ("snw_num_receptors", pa.int64(), "receptors of the screen that have this ligand among their hits", None),
)
_FIRST = (
    ("snw_first_score", pa.float64(), "score of the network of the first stage", None),
    ("snw_first_rank", pa.int64(), "place in the list of the first stage", None),
)
"""Where a second stage has ranked anew."""


@dataclass(frozen=True)
class Sides:
    """Both libraries with their vectors."""

    ligands: StoredLibrary
    receptors: StoredLibrary
    ligand_vectors: VectorSet
    receptor_vectors: VectorSet


class Hits(NamedTuple):
    """The list of one receptor."""

    receptor: int
    ranked: Ranked
    """[1, hits] each."""
    better: IntArray
    """[hits] receptors that score higher with the ligand."""
    lists: IntArray
    """[hits] receptors that have the ligand among their hits."""


@dataclass(frozen=True)
class Ranking:
    """The bundle that has ranked the hits, and what the result says of them."""

    scorer: PairScorer
    second: bool
    """It has looked again at the best of another network."""

    @functools.cached_property
    def columns(self) -> list[Column]:
        """Those of `predict`."""
        return columns_of(self.scorer.bundle, members=False, trust=self.scorer.trust)

    @functools.cached_property
    def schema(self) -> pa.Schema:
        """All columns of the result."""
        texts = [pa.field(name, pa.string()) for name in ("ligand", "receptor", "ligand_sequence")]
        ours = [
            pa.field(name, kind, metadata={"meaning": meaning} | ({"unit": unit} if unit else {}))
            for name, kind, meaning, unit in [*_OURS, *(_FIRST if self.second else ())]
        ]
        metadata = {"snw_schema": str(VERSION)}
        return pa.schema([*texts, *(column.field for column in self.columns), *ours], metadata=metadata)


def hits_of(
    receptors: range,
    ranked: Ranked,
    least: FloatArray,
    sides: Sides,
    lists: tuple[IntArray, IntArray],
    towers: Towers,
) -> Iterator[Hits]:
    """The lists of some receptors in their order, as far as they score at least `least`, [receptors].

    lists: ligands, [n] and rising, and [n] how many lists have each.
    """
    vectors = sides.receptor_vectors
    all_receptors, counts = vectors.rows(range(len(vectors))), ranked.counts(least)
    at_once = max(1, HITS_AT_ONCE // max(1, ranked.ligand.shape[1]))
    for start in range(0, len(receptors), at_once):
        rows = range(start, min(start + at_once, len(receptors)))
        of = np.repeat(np.array(rows, dtype=np.int64), counts[rows.start : rows.stop])
        ligand, score = (
            np.concatenate([values[row, : counts[row]] for row in rows])
            for values in (ranked.ligand, ranked.first_score)
        )
        better = in_lists = np.zeros(0, dtype=np.int64)
        if len(ligand):
            own = sides.ligand_vectors.picked(ligand)
            better = num_better(own, of + receptors.start, torch.from_numpy(score), all_receptors, towers.scores)
            in_lists = lists[1][np.searchsorted(lists[0], ligand)]
        for row in rows:
            here = of == row
            yield Hits(receptors[row], ranked.row(row, int(counts[row])), better[here], in_lists[here])


def lists_with(numbers: IntArray, all_lists: Iterator[IntArray]) -> tuple[IntArray, IntArray]:
    """The ligands `numbers`, [n] and rising, and how many lists have each, [n]."""
    counts = np.zeros(len(numbers), dtype=np.int64)
    for entries in all_lists:
        counts += num_lists(numbers, entries) if len(numbers) else 0
    return numbers, counts


def table_of(hits: Hits, sides: Sides, ranking: Ranking) -> Iterator[pa.Table]:
    """The rows of a receptor, for each of its ids in the order of the file."""
    numbers, scorer = hits.ranked.ligand[0], ranking.scorer
    ligands = sides.ligands.sequences.take(numbers)
    [receptor] = sides.receptors.sequences.take(np.array([hits.receptor]))
    members = {name: scores[0] for name, scores in hits.ranked.members.items()}
    scores = together(members, scorer.calibrations, scorer.bundle.says.mean)
    scored = Scored(ligands, [receptor] * len(ligands), scores)
    made: dict[str, Any] = {column.name: pa.array(column.make(scored), column.kind) for column in ranking.columns}
    made |= _ours(hits, len(sides.ligands), len(sides.receptors))
    of, names = sides.ligands.names(numbers)
    rows, schema = pa.array(of), ranking.schema
    _, receptor_names = sides.receptors.names(np.array([hits.receptor]))
    for name in receptor_names:
        texts = [names, [name] * len(names), [ligands[place] for place in of.tolist()]]
        values = [pa.array(text, pa.string()) for text in texts]
        values += [made[field.name].take(rows) for field in list(schema)[len(texts) :]]
        yield pa.Table.from_arrays(values, schema=schema)


def _ours(hits: Hits, num_ligands: int, num_receptors: int) -> dict[str, pa.Array]:
    first, others = hits.ranked.first_rank[0], num_receptors - 1
    percentile: FloatArray = 100.0 * (first - 1) / num_ligands
    specific = pa.nulls(len(first), pa.float64()) if not others else pa.array(1.0 - hits.better / others, pa.float64())
    found: list[pa.Array] = [
        pa.array(np.arange(1, len(first) + 1)),
        pa.array(percentile),
        specific,
        pa.array(hits.lists),
    ]
    found += [pa.array(hits.ranked.first_score[0].astype(np.float64)), pa.array(first)]
    return {name: values for (name, *_), values in zip([*_OURS, *_FIRST], found, strict=True)}
