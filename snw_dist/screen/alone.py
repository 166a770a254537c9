"""What the network says of a ligand alone: its mean score with other receptors.

It is the control `shuffled_receptor` of `evaluate`, of one ligand and with many receptors: a network that has learned
which ligands bind in general, and not what they bind, gives a hit this score, too. The receptors are some of the
training, so that the number does not depend on which receptors are screened.
"""

from __future__ import annotations

import functools
import hashlib

import numpy as np
import torch

from snw_dist.arrays import FloatArray, IntArray
from snw_dist.bundle.format import TRAINED_ON
from snw_dist.bundle.read import Bundle
from snw_dist.predict.one_thread import passes_side_by_side
from snw_dist.screen.hits import Sides
from snw_dist.screen.towers import Towers
from snw_dist.screen.vectors import VectorSet

FILE = "references.arrow"
REFERENCES = 100
"""More would tell the mean of a ligand no better than a reader can use it."""


def references_of(bundle: Bundle) -> list[str]:
    """The receptors of the training, or `REFERENCES` of them that their SHA-256 chooses; in their order."""
    trained = bundle.read_json(TRAINED_ON)
    known = {*trained["receptors"], *(trained["ligands"] if bundle.says.sequences.symmetric else [])}
    chosen = sorted(known, key=lambda one: hashlib.sha256(one.encode()).digest())[:REFERENCES]
    return sorted(chosen, key=lambda one: (len(one), one))


class Alone:
    """The mean score of ligands with the references."""

    def __init__(self, references: VectorSet, sides: Sides, towers: Towers) -> None:
        self._references, self._sides, self._towers = references, sides, towers

    def scores(self, ligand: IntArray, receptor: IntArray, score: FloatArray) -> FloatArray:
        """[hits] mean scores of ligands with the references other than the receptor of the hit; NaN without any.

        ligand, receptor: [hits] numbers, at least one; score: [hits] of the network of the first stage.
        """
        numbers, place = np.unique(ligand, return_inverse=True)
        vectors, total = self._sides.ligand_vectors.picked(numbers), np.zeros(len(numbers))
        with passes_side_by_side() as each:
            for found in each(lambda one: self._towers.scores(vectors, one.expand_as(vectors)), self._vectors):
                total += found.numpy()  # one after another: a sum in another order has other digits
        own = np.isin(receptor, self._own)
        others = len(self._vectors) - own
        mean = np.full(len(ligand), np.nan)
        np.divide(total[place] - own * score, others, out=mean, where=others > 0)
        return mean

    @functools.cached_property
    def _vectors(self) -> torch.Tensor:
        return self._references.rows(range(len(self._references)))

    @functools.cached_property
    def _own(self) -> IntArray:
        """Numbers of the receptors of the screen that are references."""
        references = set(self._references.sequences().all())
        found = [number for number, one in enumerate(self._sides.receptors.sequences.all()) if one in references]
        return np.array(found, dtype=np.int64)
