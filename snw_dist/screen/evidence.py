"""What is said of hits beside their scores: all that a screen knows of a pair."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from snw_dist.arrays import FloatArray
from snw_dist.screen.alone import Alone
from snw_dist.screen.background import BackgroundUnits
from snw_dist.screen.counts import CountUnits
from snw_dist.screen.false_hits import CutoffUnits
from snw_dist.screen.hits import Pairs
from snw_dist.screen.library import other
from snw_dist.screen.making import Making
from snw_dist.screen.rows import ALONE, COUNT, FIRST_PERCENTILE, P_VALUE, PERCENTILE, SPECIFICITY
from snw_dist.screen.specificity import higher_in_list, num_better


class ScreenEvidence:
    """By the vectors of the first stage, and the lists of all receptors (`snw_dist.screen.hits.Evidence`)."""

    def __init__(self, making: Making, cutoffs: CutoffUnits, counts: CountUnits, background: BackgroundUnits) -> None:
        """`cutoffs` and `background` may have no units: then nothing was asked for."""
        self._of, self._cutoffs, self._counts, self._background = making, cutoffs, counts, background
        self._alone = Alone(making.references, making.sides, making.towers)

    def __call__(self, pairs: Pairs) -> Mapping[str, FloatArray]:
        """Column -> [hits]; of at least one hit."""
        score, sides = pairs.first_score.astype(np.float64), self._of.sides
        said = {
            SPECIFICITY: self._specificity(pairs),
            COUNT[sides.by]: self._counts.of(pairs.of(other(sides.by))).astype(np.float64),
            ALONE: self._alone.scores(pairs.ligand, pairs.receptor, score),
        }
        if self._of.plan.content.background is not None:
            lengths = np.array([len(one) for one in sides.ligands.sequences.take(pairs.ligand)])
            name = FIRST_PERCENTILE if self._of.ranking.second else PERCENTILE
            said[name] = self._background.percentiles(lengths, pairs.receptor, score)
        if self._of.ranking.promised:
            said[P_VALUE] = self._cutoffs.p_values(pairs.receptor, pairs.score)
        return said

    def _specificity(self, pairs: Pairs) -> FloatArray:
        sides, others = self._of.sides, len(self._of.sides.receptors) - 1
        if not others:
            return np.full(len(pairs.rank), np.nan)
        if sides.by == "ligand":
            return np.asarray(1.0 - higher_in_list(pairs.ligand, pairs.first_score) / others)
        ligands, receptors = sides.ligand_vectors.picked(pairs.ligand), sides.receptor_vectors
        every, score = receptors.rows(range(len(receptors))), torch.from_numpy(pairs.first_score)
        better = num_better(ligands, pairs.receptor, score, every, self._of.towers.scores)
        return np.asarray(1.0 - better / others)
