"""The networks of a bundle in memory, and what one of them makes of pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from hpc.errors import CorruptError, InputError
from snw_dist.arrays import FloatArray, IntArray
from snw_dist.bundle.format import member_file
from snw_dist.bundle.read import Bundle
from snw_dist.embedding.row_reader import RowReader
from snw_dist.model.pair import PairOutput
from snw_dist.predict import calibration, manifest
from snw_dist.predict.batches import IndexedPairs, make_batch
from snw_dist.predict.calibration import CALIBRATION, Calibration, read_calibration
from snw_dist.predict.export import read_export
from snw_dist.predict.score import score_pairs

_PAIRS_AT_ONCE = 512
_RESIDUES_AT_ONCE = 1 << 17
"""Residues whose parts are in memory together on a CPU: more than a few hundred pairs have, where sequences repeat."""
_AGAIN = "Fetch the bundle again."


@dataclass(frozen=True)
class LoadedMember:
    """One network, ready to score."""

    name: str
    network: nn.Module
    max_length: int
    """Longer sequences are cropped to their middle, as in training."""
    calibration: Calibration
    tuned: bool
    """It has ESM C in its graph, and reads tokens."""

    def scores(self, ligand: IntArray, receptor: IntArray, reader: RowReader, device: torch.device) -> FloatArray:
        """[pairs] scores; ligand, receptor: [pairs] numbers of sequences of the reader."""
        at_once = _PAIRS_AT_ONCE if device.type == "cuda" else pairs_at_once(ligand, receptor, reader.lengths)
        return score_pairs(self.network, _pairs(ligand, receptor), reader, self.max_length, at_once, device)

    @torch.inference_mode()
    def outputs(self, ligand: IntArray, receptor: IntArray, reader: RowReader, device: torch.device) -> PairOutput:
        """All that the network says of a few pairs, in one pass; ligand, receptor: as in `scores`."""
        table = _pairs(ligand, receptor)
        batch = make_batch(table, np.arange(len(table)), reader, self.max_length, device)
        found: PairOutput = self.network.to(device)(batch.ligand, batch.receptor)
        return found


def pairs_at_once(ligand: IntArray, receptor: IntArray, lengths: IntArray) -> int:
    """How many pairs a CPU scores together, so that each sequence goes through the network as few times as possible.

    ligand, receptor: [pairs] numbers of sequences, whose residues are `lengths` [sequences]. A pair costs little beside
    its two sequences, which are computed once for all pairs that are scored together.
    """
    residues = int(lengths[np.unique(np.concatenate([ligand, receptor]))].sum())
    return max(_PAIRS_AT_ONCE, len(ligand) * _RESIDUES_AT_ONCE // max(residues, _RESIDUES_AT_ONCE))


def load_members(bundle: Bundle) -> list[LoadedMember]:
    """The networks of a bundle, on the CPU; raises `CorruptError` where a file has changed since it was compared."""
    members = []
    for name, entry in bundle.says.members.items():
        folder = (bundle.folder / member_file(name, CALIBRATION)).parent
        try:
            network, description = read_export(folder)
            record = read_calibration(folder / CALIBRATION)
        except (CorruptError, InputError) as error:  # who was given the bundle can neither train nor evaluate
            raise CorruptError(f"{_without_advice(str(error))} {_AGAIN}") from None
        for digest in (description["weights_sha256"], record.made_of["weights_sha256"]):
            if digest != entry.weights_sha256:
                raise CorruptError(f"{folder}: not the weights that bundle.json names. {_AGAIN}")
        if description["d_input"] != bundle.says.rows.width:
            raise CorruptError(
                f"{folder}: reads rows of {description['d_input']:,} values, and bundle.json names rows of "
                f"{bundle.says.rows.width:,}. {_AGAIN}"
            )
        max_length = int(description["model"]["max_length"])
        members.append(LoadedMember(name, network, max_length, record.calibration, entry.tuned))
    return members


def _without_advice(text: str) -> str:
    """What is wrong, without the command that only the owner of the run could give."""
    for advice in (manifest.AGAIN, manifest.FIRST, calibration.AGAIN):
        text = text.removesuffix(advice)
    return text.rstrip()


def _pairs(ligand: IntArray, receptor: IntArray) -> IndexedPairs:
    """Pairs of which nothing is known."""
    nothing = np.zeros(len(ligand))
    return IndexedPairs(ligand, receptor, nothing.astype(np.float32), nothing.astype(bool), np.ones(len(ligand)))
