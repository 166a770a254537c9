"""From the decoys of each pair to one score and its noise; lower is better.

| rule | score | its spread: standard deviation of |
|---|---|---|
| `min` | the lowest decoy | the `top_k` lowest |
| `mean_top` | mean of the `top_k` lowest | the `top_k` lowest |
| `boltzmann` | mean with weights exp(-score / kT) | all, with the same weights |

A decoy of a pair named twice in a file with the same score is counted once; with another score all of that name are
rejected, because two runs under one name cannot be told apart. Decoys of a pair must agree on binary label and split.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from snw_dist.data.files.rejects import Rejects
from snw_dist.data.records.pairs import PairTable, ScoreTable, pair_key, pair_names, same_for_a_pair
from snw_dist.data.records.repeats import Column, group_rows, numbered, reject_groups
from snw_dist.data.records.rows import Rows
from snw_dist.data.records.sequences import SequenceTable

_FIX_NAME = (
    "Give each run a name of its own (-out:prefix), or name a score file for each pair (data.columns.score_file)."
)
_FIX_PAIR = "Keep the right rows only."


def pairs_of_decoys(
    rows: Rows,
    name: str,
    ligands: SequenceTable,
    receptors: SequenceTable,
    rejects: Rejects,
    *,
    aggregate: str,
    top_k: int,
    kt: float,
) -> PairTable:
    """One pair for all its decoys, in the order of first rows; bad decoys go to `rejects`, `name` to the notes."""
    of_name = [Column("score", rows.value, float)]
    same_name, group = group_rows(_name_key(rows, pair_key(rows, receptors)), of_name)
    names = pair_names(rows, ligands, receptors)
    reject_groups(rows, "repeated decoy", same_name.bad, group, of_name, names, _FIX_NAME, rejects)
    repeated = int((~same_name.first & ~same_name.bad).sum())
    rows = _take(rows, same_name.first & ~same_name.bad)
    of_pair = same_for_a_pair(rows)
    same_pair, group = group_rows(pair_key(rows, receptors), of_pair)
    names = pair_names(rows, ligands, receptors)
    reject_groups(rows, "contradictory pair", same_pair.bad, group, of_pair, names, _FIX_PAIR, rejects)
    rows = _take(rows, ~same_pair.bad)
    pair = numbered(pair_key(rows, receptors))
    first = np.unique(pair, return_index=True)[1]
    scores = _scores(rows.value, pair, aggregate, top_k, kt)
    notes = [f"{name}: {repeated:,} repeated decoys (same name, same score) counted once."] if repeated else []
    notes.append(f"{name}: {len(rows.value):,} decoys of {len(first):,} pairs; score: {_rule(aggregate, top_k, kt)}.")
    return PairTable(
        rows.ligand[first],
        rows.receptor[first],
        np.full(len(first), np.nan),
        rows.binary[first],
        rows.split[first],
        np.ones(len(first)),
        rows.split_names,
        scores,
        repeated + len(rows.value) - len(first),
        [*rows.notes, *notes],
    )


def noise_weights(noise: NDArray[np.float64], train: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Weights `[pair]`, of mean 1 over `train`, from the noise of the labels: 1 / (noise^2 + typical^2).

    This is the weight of a measurement whose own noise comes on top of one that all share; the typical noise, the
    median over `train`, stands for it, so that no pair counts more than about twice as much as a typical one. A pair
    whose noise is not known (NaN: one decoy) is taken as typical. All are 1 where nothing is known.
    """
    known = noise[train & np.isfinite(noise)]
    typical = float(np.median(known)) if len(known) else 0.0
    if typical == 0:
        return np.ones(len(noise))
    weight = 1 / (np.where(np.isfinite(noise), noise, typical) ** 2 + typical**2)
    scaled: NDArray[np.float64] = weight / weight[train].mean()
    return scaled


def _scores(value: NDArray[np.float64], pair: NDArray[np.int64], aggregate: str, top_k: int, kt: float) -> ScoreTable:
    """Score and spread of each pair, by the table above."""
    order = np.lexsort((value, pair))
    value, pair = value[order], pair[order]
    count = np.bincount(pair)
    start = np.cumsum(count) - count
    lowest = value[start]
    if aggregate == "boltzmann":
        share = np.exp((lowest[pair] - value) / kt)
    else:
        share = (np.arange(len(value)) - start[pair] < top_k).astype(np.float64)
    total = np.bincount(pair, weights=share)
    mean = np.bincount(pair, weights=share * value) / total
    spread = np.sqrt(np.bincount(pair, weights=share * (value - mean[pair]) ** 2) / total)
    score = lowest if aggregate == "min" else mean
    return ScoreTable(score, np.where(count > 1, spread, np.nan), count, np.zeros(len(count), np.int8))


def _name_key(rows: Rows, pair: NDArray[np.int64]) -> NDArray[np.int64]:
    """Equal for decoys of one name, pair and file only, up to a chance of 2^-64; one without a name is on its own."""
    named = rows.decoy + rows.file * np.int64(0x1E3779B97F4A7C15) + pair * np.int64(0x2545F4914F6CDD1D)
    return np.where(rows.decoy == 0, np.arange(len(rows.decoy)), named)


def _take(rows: Rows, keep: NDArray[np.bool_]) -> Rows:
    columns = ("file", "line", "ligand", "receptor", "value", "binary", "split", "inequality", "decoy")
    return dataclasses.replace(rows, **{name: getattr(rows, name)[keep] for name in columns})


def _rule(aggregate: str, top_k: int, kt: float) -> str:
    rules = {"min": "the lowest", "mean_top": f"mean of the {top_k} lowest", "boltzmann": f"Boltzmann mean, kT {kt:g}"}
    return rules[aggregate]
