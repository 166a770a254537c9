"""The attention of one pair, with the letters of its residues, and the part of it that is drawn."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from snw_dist.arrays import FloatArray, IntArray
from snw_dist.evaluate.run import Opened
from snw_dist.predict.batches import make_batch

WITH_ATTENTION = ("cross_attention", "pair_of_pairs")
"""Networks whose ligand residues attend to receptor residues, see `PairOutput.attention`."""
MOST_LIGAND, MOST_RECEPTOR = 40, 30
"""Residues that are drawn, so that the letters can be read."""


@dataclasses.dataclass(frozen=True)
class Attention:
    """Where each ligand residue looks."""

    weights: FloatArray
    """[ligand residues, receptor residues]; the sum of a whole row is 1."""
    ligand: tuple[str, ...]
    """Letter and place of each residue, such as Y84; places count from 1 in the whole sequence."""
    receptor: tuple[str, ...]

    def drawn(self) -> Attention:
        """The receptor residues that get most, and if there are too many the ligand residues that look most sharply.

        They stay in the order of the sequence.
        """
        rows = _largest(self.weights.max(axis=1), MOST_LIGAND)
        columns = _largest(self.weights.sum(axis=0), MOST_RECEPTOR)
        ligand, receptor = (self.ligand[at] for at in rows), (self.receptor[at] for at in columns)
        return Attention(self.weights[np.ix_(rows, columns)], tuple(ligand), tuple(receptor))


@torch.inference_mode()
def attention_of(network: Opened, row: int, device: torch.device) -> Attention:
    """The attention of a pair, the mean over the heads of the last block; row: its place among the prepared pairs."""
    most, prepared = int(network.description["model"]["max_length"]), network.data.prepared
    batch = make_batch(network.table, np.array([row], np.int64), network.reader, most, device)
    found = network.model.to(device)(batch.ligand, batch.receptor).attention
    pair = prepared.pairs.iloc[row]
    ligand = residues(prepared.ligands[pair["ligand_id"]], most)
    receptor = residues(prepared.receptors[pair["receptor_id"]], most)
    weights = found[0, : len(ligand), : len(receptor)].double().cpu().numpy()
    return Attention(weights, ligand, receptor)


def residues(sequence: str, most: int) -> tuple[str, ...]:
    """Letter and place of each residue that a network sees: a sequence longer than `most` is cropped to its middle."""
    start = max(0, (len(sequence) - most) // 2)
    return tuple(f"{letter}{start + place}" for place, letter in enumerate(sequence[start : start + most], 1))


def _largest(values: FloatArray, most: int) -> IntArray:
    """[n] places of the largest values, rising."""
    return np.sort(np.argsort(-values, kind="stable")[:most]).astype(np.int64)
