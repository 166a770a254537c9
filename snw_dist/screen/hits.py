"""Rows of the result: each hit of a receptor with all ids of both, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from snw_dist.arrays import FloatArray, IntArray
from snw_dist.scoring.columns import VERSION, Column, Scored
from snw_dist.scoring.scores import together
from snw_dist.screen.library import StoredLibrary
from snw_dist.screen.product.merge import Best
from snw_dist.screen.specificity import num_better, num_lists
from snw_dist.screen.towers import Towers
from snw_dist.screen.vectors import VectorSet

HITS_AT_ONCE = 1 << 16
"""Hits whose vectors are in memory together; but the list of one receptor is looked at as a whole."""
_OURS = (
    ("snw_rank", pa.int64(), "place among the distinct ligands of the library for this receptor, 1 is the best", None),
    ("snw_library_percentile", pa.float64(), "share of the library's ligands that are not ranked above it", "percent"),
    ("snw_specificity", pa.float64(), "share of the other receptors of the screen that it scores no higher with", None),
    ("snw_num_receptors", pa.int64(), "receptors of the screen that have this ligand among their hits", None),
)


@dataclass(frozen=True)
class Sides:
    """Both libraries with their vectors."""

    ligands: StoredLibrary
    receptors: StoredLibrary
    ligand_vectors: VectorSet
    receptor_vectors: VectorSet


class Hits(NamedTuple):
    """The list of one receptor; each array has its entries [hits], the best first."""

    receptor: int
    ligand: IntArray
    """[hits] numbers in the library."""
    score: NDArray[np.float32]
    """[hits]"""
    better: IntArray
    """[hits] receptors that score higher with the ligand."""
    lists: IntArray
    """[hits] receptors that have the ligand among their hits."""


def schema_of(columns: list[Column]) -> pa.Schema:
    """The columns of the result."""
    texts = [pa.field(name, pa.string()) for name in ("ligand", "receptor", "ligand_sequence")]
    ours = [
        pa.field(name, kind, metadata={"meaning": meaning} | ({"unit": unit} if unit else {}))
        for name, kind, meaning, unit in _OURS
    ]
    metadata = {"snw_schema": str(VERSION)}
    return pa.schema([*texts, *(column.field for column in columns), *ours], metadata=metadata)


def kept_entries(best: Best, least: FloatArray) -> IntArray:
    """[receptors]: how many entries of each list score at least its `least`, [receptors]; they are its first ones."""
    score = best.score.double().numpy()
    counts: IntArray = (score >= least[:, None]).sum(axis=1).astype(np.int64)
    return counts


def entries_of(best: Best, least: FloatArray) -> IntArray:
    """[entries] ligands of all lists together."""
    counts = kept_entries(best, least)
    there = np.arange(best.index.shape[1])[None] < counts[:, None]
    found: IntArray = best.index.numpy()[there]
    return found


def hits_of(
    receptors: range, best: Best, counts: IntArray, sides: Sides, lists: tuple[IntArray, IntArray], towers: Towers
) -> Iterator[Hits]:
    """The lists of some receptors in their order.

    best: their lists, of which the first `counts`, [receptors], are hits; lists: ligands, [n] and rising, and [n] how
    many lists have each.
    """
    all_receptors = torch.cat([sides.receptor_vectors.block(b) for b in range(sides.receptor_vectors.num_blocks)])
    at_once = max(1, HITS_AT_ONCE // max(1, best.index.shape[1]))
    for start in range(0, len(receptors), at_once):
        own = range(start, min(start + at_once, len(receptors)))
        of = np.repeat(np.array(own, dtype=np.int64), counts[own.start : own.stop])
        ligand = np.concatenate([best.index[row, : counts[row]].numpy() for row in own])
        score = torch.cat([best.score[row, : counts[row]] for row in own])
        better = np.zeros(0, dtype=np.int64)
        if len(ligand):
            vectors = sides.ligand_vectors.picked(ligand)
            better = num_better(vectors, of + receptors.start, score, all_receptors, towers.scores)
        in_lists = lists[1][np.searchsorted(lists[0], ligand)] if len(ligand) else better
        for row in own:
            here = of == row
            yield Hits(receptors[row], ligand[here], score.numpy()[here], better[here], in_lists[here])


def lists_with(numbers: IntArray, all_lists: Iterator[IntArray]) -> tuple[IntArray, IntArray]:
    """The ligands `numbers`, [n] and rising, and how many lists have each, [n]."""
    counts = np.zeros(len(numbers), dtype=np.int64)
    for entries in all_lists:
        counts += num_lists(numbers, entries) if len(numbers) else 0
    return numbers, counts


def table_of(hits: Hits, sides: Sides, columns: list[Column], towers: Towers) -> Iterator[pa.Table]:
    """The rows of a receptor, for each of its ids in the order of the file."""
    ligands = sides.ligands.sequences.take(hits.ligand)
    [receptor] = sides.receptors.sequences.take(np.array([hits.receptor]))
    scores = {towers.member.name: hits.score.astype(np.float64)}
    bundle = towers.scorer.bundle
    scored = Scored(
        ligands, [receptor] * len(ligands), together(scores, {towers.member.name: towers.member.calibration}, None)
    )
    made: dict[str, Any] = {column.name: pa.array(column.make(scored), column.kind) for column in columns}
    made |= _ours(hits, len(sides.ligands), len(sides.receptors))
    assert bundle.says.mean is None, "a screen has one network"
    of, names = sides.ligands.names(hits.ligand)
    rows, schema = pa.array(of), schema_of(columns)
    _, receptor_names = sides.receptors.names(np.array([hits.receptor]))
    for name in receptor_names:
        texts = [names, [name] * len(names), [ligands[place] for place in of.tolist()]]
        values = [pa.array(text, pa.string()) for text in texts]
        values += [made[field.name].take(rows) for field in list(schema)[len(texts) :]]
        yield pa.Table.from_arrays(values, schema=schema)


def _ours(hits: Hits, num_ligands: int, num_receptors: int) -> dict[str, pa.Array]:
    rank = np.arange(1, len(hits.ligand) + 1)
    percentile: FloatArray = 100.0 * (num_ligands - rank + 1) / num_ligands
    others = num_receptors - 1
    specific = pa.nulls(len(rank), pa.float64()) if not others else pa.array(1.0 - hits.better / others, pa.float64())
    found = (pa.array(rank), pa.array(percentile), specific, pa.array(hits.lists))
    return {name: values for (name, *_), values in zip(_OURS, found, strict=True)}
