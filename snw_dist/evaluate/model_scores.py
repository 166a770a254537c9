"""Scores of an exported network on held-out pairs, and on spoilt input as controls."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from hpc.told import long_work
from snw_dist.arrays import FloatArray, IntArray
from snw_dist.config import ControlName
from snw_dist.embedding.row_reader import RowReader
from snw_dist.evaluate.controls.noise import NoiseReader
from snw_dist.predict.batches import IndexedPairs
from snw_dist.predict.score import score_pairs


def model_scores(
    model: nn.Module,
    table: IndexedPairs,
    split: npt.ArrayLike,
    reader: RowReader,
    max_length: int,
    batch_size: int,
    device: torch.device,
    controls: Collection[ControlName],
    seed: int,
) -> tuple[FloatArray, dict[ControlName, FloatArray]]:
    """The network's scores of all pairs of `table`, [pairs], and those of each of `controls` that is made with it.

    split: [pairs], the split of each; partners are exchanged within it. A partner may by chance be the old one, as
    often as it would be if ligands and receptors were paired at random.
    """

    def scores(of: IndexedPairs, embeddings: RowReader, what: str) -> FloatArray:
        with long_work(f"{what}, {len(table.ligand):,} pairs", len(table.ligand), "pairs"):
            return score_pairs(model, of, embeddings, max_length, batch_size, device)

    plain = scores(table, reader, "the network's scores")
    order = shuffled_within(split, seed)
    spoilt: dict[ControlName, FloatArray] = {}
    if "shuffled_receptor" in controls:
        shuffled = dataclasses.replace(table, receptor=table.receptor[order])
        spoilt["shuffled_receptor"] = scores(shuffled, reader, "control shuffled_receptor")
    if "shuffled_ligand" in controls:
        shuffled = dataclasses.replace(table, ligand=table.ligand[order])
        spoilt["shuffled_ligand"] = scores(shuffled, reader, "control shuffled_ligand")
    if "noise" in controls:
        used = np.concatenate([table.ligand, table.receptor])
        spoilt["noise"] = scores(table, NoiseReader(reader, used, seed), "control noise")
    return plain, spoilt


def shuffled_within(groups: npt.ArrayLike, seed: int) -> IntArray:
    """[rows]: for each row another row of the same group, each taken once."""
    numbers = np.unique(np.asarray(groups), return_inverse=True)[1]
    mixed = np.random.default_rng(seed).permutation(numbers.size)
    order = np.empty(numbers.size, dtype=np.int64)
    order[np.argsort(numbers, kind="stable")] = mixed[np.argsort(numbers[mixed], kind="stable")]
    return order
