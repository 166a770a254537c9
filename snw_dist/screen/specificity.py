"""How a ligand of a hit gets on with the other receptors of the screen: a promiscuous one is no finding.

Exact, and the memory is bounded by what is compared at once. A product tells which receptors are surely nearer or
farther than the one of the hit; where rounding could decide, the network's own score does.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from snw_dist.arrays import IntArray

Scores = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""[pairs] scores of two vectors each."""
_HITS, _RECEPTORS = 1024, 8192
"""Compared at once."""


def higher_in_list(owner: IntArray, score: NDArray[np.float32]) -> IntArray:
    """[hits]: how many entries of the same list score higher; list after list, the best first, from its beginning.

    owner: [hits] whose list it is; score: [hits].
    """
    places, new_list = np.arange(len(owner)), np.diff(owner, prepend=-1) != 0
    new_score = new_list | (np.diff(score, prepend=-1.0) != 0)
    begins, equal = (np.maximum.accumulate(np.where(new, places, 0)) for new in (new_list, new_score))
    return np.asarray(equal - begins, dtype=np.int64)


@torch.inference_mode()
def num_better(
    ligands: torch.Tensor, own: IntArray, score: torch.Tensor, receptors: torch.Tensor, scores: Scores
) -> IntArray:
    """[hits]: how many receptors have a higher score with the ligand of a hit than its own receptor has.

    ligands: [hits, size] float32 vectors; own: [hits] which of `receptors`, [all, size], is that of the hit; score:
    [hits] float32 of the hit.
    """
    found = np.zeros(len(own), dtype=np.int64)
    for start in range(0, len(own), _HITS):
        hits = slice(start, start + _HITS)
        for first in range(0, len(receptors), _RECEPTORS):
            block = receptors[first : first + _RECEPTORS]
            found[hits] += _better(ligands[hits], receptors[own[hits]], score[hits], block, scores).numpy()
    return found


def _better(
    ligands: torch.Tensor, own: torch.Tensor, score: torch.Tensor, block: torch.Tensor, scores: Scores
) -> torch.Tensor:
    """[hits] int64, of one block of receptors."""
    far, of_own = _far(ligands, block), (own.square().sum(dim=1) - 2 * (ligands * own).sum(dim=1))[:, None]
    rounding = (ligands.shape[1] + 8) * 2.0**-21  # of products of vectors about as long as 1, several times over
    sure = (far < of_own - rounding).sum(dim=1)
    hit, receptor = ((far - of_own).abs() <= rounding).nonzero(as_tuple=True)
    higher = scores(ligands[hit], block[receptor]) > score[hit]
    return sure + torch.bincount(hit[higher], minlength=len(ligands))


def _far(ligands: torch.Tensor, receptors: torch.Tensor) -> torch.Tensor:
    """[ligands, receptors]: rises with the distance, along a row."""
    return receptors.square().sum(dim=1)[None] - 2 * ligands @ receptors.T
