"""The lists of a screen as they are written: by the one network, or by a second one that has looked again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snw_dist.arrays import FloatArray, IntArray
from snw_dist.screen.product.merge import Best

_PLAIN = ("ligand", "score", "first_score", "first_rank")


class Ranked(NamedTuple):
    """The lists of some receptors, the best first; every array is [receptors, entries]."""

    ligand: IntArray
    """[receptors, entries] numbers in the library; where ligands have lists, numbers of receptors."""
    score: FloatArray
    """[receptors, entries] by which they are ranked."""
    first_score: NDArray[np.float32]
    """[receptors, entries] of the network of the first stage."""
    first_rank: IntArray
    """[receptors, entries] places in the first stage, from 1."""
    members: Mapping[str, FloatArray]
    """Member of the bundle that has ranked -> [receptors, entries] its scores."""

    def row(self, row: int, count: int) -> Ranked:
        """The first entries of one list."""
        members = {name: scores[row : row + 1, :count] for name, scores in self.members.items()}
        return Ranked(**{name: getattr(self, name)[row : row + 1, :count] for name in _PLAIN}, members=members)

    def counts(self, least: FloatArray) -> IntArray:
        """[receptors]: how many entries of each list score at least its `least`, [receptors]; they are its first."""
        counts: IntArray = (self.score >= least[:, None]).sum(axis=1).astype(np.int64)
        return counts

    def entries(self, least: FloatArray) -> IntArray:
        """[entries] ligands of all lists together that score so much; least: as for `counts`."""
        there = np.arange(self.ligand.shape[1])[None] < self.counts(least)[:, None]
        found: IntArray = self.ligand[there]
        return found


Lists = Callable[[int], Ranked]
"""The lists of a group of receptors."""


def by_first(best: Best, member: str) -> Ranked:
    """The lists of the first stage, by its one member."""
    score = best.score.numpy()
    rank = np.broadcast_to(np.arange(1, score.shape[1] + 1), score.shape)
    return Ranked(best.index.numpy(), score.astype(np.float64), score, rank, {member: score.astype(np.float64)})


def reordered(best: Ranked, score: FloatArray, members: Mapping[str, FloatArray], most: int) -> Ranked:
    """One list by other scores, [entries]: the best `most`; of equal ones the ligand with the lower number first."""
    order = np.lexsort((best.ligand[0], -score))[:most]
    by_name = {name: values[None, order] for name, values in members.items()}
    return Ranked(
        best.ligand[:, order], score[None, order], best.first_score[:, order], best.first_rank[:, order], by_name
    )


def to_arrays(ranked: Ranked) -> dict[str, NDArray[Any]]:
    """For a file; each [...]."""
    values: dict[str, NDArray[Any]] = {name: getattr(ranked, name) for name in _PLAIN}
    return values | {f"member.{name}": scores for name, scores in ranked.members.items()}


def from_arrays(files: list[dict[str, NDArray[Any]]]) -> Ranked:
    """Lists from the arrays of files, [receptors, entries] each, one after another."""
    found = {name: np.concatenate([one[name] for one in files]) for name in files[0]}
    members = {name.removeprefix("member."): values for name, values in found.items() if name.startswith("member.")}
    return Ranked(**{name: found[name] for name in _PLAIN}, members=members)
