"""The sample by which a screen knows what the first stage has missed: scored by both (`snw_dist.screen.recall`)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hpc.errors import CorruptError
from snw_dist.arrays import FloatArray, IntArray
from snw_dist.screen.array_file import read_arrays, write_arrays
from snw_dist.screen.false_hits import CutoffUnits
from snw_dist.screen.known import known_binders
from snw_dist.screen.making import Making
from snw_dist.screen.ranked import Ranked
from snw_dist.screen.recall import Recall, sample_size
from snw_dist.screen.rerank import SecondStage
from snw_dist.screen.unit import ListUnits, Scoring

_SEED = 17
_MOST_VECTORS = 1 << 16
"""Of the library, by which places in the first stage are estimated; a smaller library is looked at as a whole."""


class SampleUnits:
    """One receptor each (`snw_dist.screen.work.Units`): some of the ligands that its second stage has not looked at."""

    kind, unit = "sample", "pairs"

    def __init__(self, scoring: Scoring, stage: SecondStage) -> None:
        self._of, self._stage = scoring, stage
        self._lists = functools.lru_cache(maxsize=1)(ListUnits(scoring).read)
        self._group_of = [group for group, numbers in enumerate(scoring.grid.groups) for _ in numbers]
        self.each = sample_size(len(scoring.ligands), len(scoring.receptors), scoring.most)
        """Ligands of a receptor."""

    def __len__(self) -> int:
        return len(self._group_of) if self.each else 0

    def size(self, number: int) -> int:
        """Pairs."""
        return self.each

    def has(self, number: int, verify: bool) -> bool:
        """Whether the scores are there."""
        if not self._path(number).exists() or not verify:
            return self._path(number).exists()
        try:
            self.read(number)
        except CorruptError:
            return False
        return True

    def do(self, number: int, checkpoint: Callable[[], None]) -> None:
        """Draw the ligands, and score them."""
        group = self._group_of[number]
        listed = self._lists(group).index.numpy()[number - self._of.grid.groups[group].start]
        ligand = drawn(len(self._of.ligands), listed, self.each, number)
        score, _ = self._stage.scores(ligand, number, checkpoint)
        rank = np.maximum(self._places(ligand, number), self._of.most + 1.0)
        write_arrays(self._path(number), {"ligand": ligand, "score": score, "rank": rank}, self._facts(number))

    def missed(self, number: int, ranked: Ranked, least: float, ends: bool) -> FloatArray:
        """[missed] about their places in the first stage; raises `CorruptError` where the scores are damaged.

        ranked: the list of the receptor, [1, hits]; least: the lowest score of a hit; ends: the list ends after its
        last hit, so that a ligand has to be better than this one.
        """
        if not self.each:
            return np.zeros(0)
        found = self.read(number)
        reach = found["score"] >= least
        if ends and ranked.score.size:
            last, lowest = ranked.ligand[0, -1], ranked.score[0, -1]
            reach &= (found["score"] > lowest) | ((found["score"] == lowest) & (found["ligand"] < last))
        return np.asarray(found["rank"][reach])

    def read(self, number: int) -> dict[str, Any]:
        """`ligand`, `score` of the second stage, `rank` in the first one about; each [ligands of the sample]."""
        return read_arrays(self._path(number), self._facts(number))

    def _places(self, ligands: IntArray, receptor: int) -> FloatArray:
        """[ligands]: about which place they have in the first stage."""
        of = self._of
        own = of.receptors.picked(np.array([receptor]))[0]
        all_far = torch.sort(_far(self._vectors, own)).values
        nearer = torch.searchsorted(all_far, _far(of.ligands.picked(ligands), own)).numpy()
        return np.asarray(1 + nearer * (len(of.ligands) / len(all_far)))

    @functools.cached_property
    def _vectors(self) -> torch.Tensor:
        """[some, size] vectors from all over the library."""
        num = len(self._of.ligands)
        some = np.random.default_rng(_SEED).choice(num, min(num, _MOST_VECTORS), replace=False)
        return self._of.ligands.picked(some)

    def _path(self, number: int) -> Path:
        return self._of.folder / "sample" / f"receptor_{number:08d}.safetensors"

    def _facts(self, number: int) -> dict[str, Any]:
        return {"screen": self._of.screen, "receptor": number, "sample": self.each}


def measured(making: Making, cutoffs: CutoffUnits, samples: SampleUnits) -> dict[str, Any]:
    """What the result says of the recall (`snw_dist.screen.recall.said_of`)."""
    content, sides, groups = making.plan.content, making.sides, making.scoring.grid.groups
    ends = content.top is not None or (content.threshold is None and content.false_rate is None)
    hit_ranks, missed_ranks, receptors = [], [], []
    for group, numbers in enumerate(groups):
        ranked, least = making.lists(group), cutoffs.least(numbers, content.threshold)
        for row, (number, count) in enumerate(zip(numbers, ranked.counts(least).tolist(), strict=True)):
            own = ranked.row(row, count)
            missed = samples.missed(number, own, least[row], ends and count == ranked.ligand.shape[1])
            hit_ranks.append(own.first_rank[0])
            missed_ranks.append(missed)
            [name] = sides.receptors.first_names(np.array([number]))
            receptors.append({"receptor": name, "hits": count, "missed_of_sample": len(missed)})
    most, others = making.scoring.most, len(sides.ligands) - making.scoring.most
    found = Recall(
        most,
        others * len(sides.receptors),
        np.concatenate(hit_ranks),
        samples.each * len(sides.receptors),
        np.concatenate(missed_ranks),
    )
    return found.said(len(sides.ligands), content.top or 1) | {
        "known_binders": known_binders(making),
        "receptors": receptors,
    }


def drawn(num: int, listed: IntArray, count: int, receptor: int) -> IntArray:
    """[count] of the numbers below `num` that are not among `listed`, [n]: each by the same chance; always the same."""
    chosen = np.random.default_rng([_SEED, receptor]).choice(num - len(listed), count, replace=False)
    before = np.sort(listed) - np.arange(len(listed))  # how many others come before each that is listed
    return np.asarray(chosen + np.searchsorted(before, chosen, side="right"))


def _far(vectors: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """[vectors]: rises with the distance from one vector."""
    return vectors.square().sum(dim=1) - 2 * vectors @ own
