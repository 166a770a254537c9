"""How many receptors are better is what comparing all scores says, ties and hair's breadths included."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from snw_dist.model.pair import compared_vectors
from snw_dist.screen import specificity
from snw_dist.screen.specificity import num_better


def scores(ligands: torch.Tensor, receptors: torch.Tensor) -> torch.Tensor:
    return compared_vectors(ligands, receptors, 1.0).score


@pytest.mark.parametrize("half", [False, True])
def test_it_is_that_of_all_scores(half: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(specificity, "_HITS", 7)
    monkeypatch.setattr(specificity, "_RECEPTORS", 9)
    torch.manual_seed(1)
    receptors = F.normalize(torch.randn(40, 16), dim=1)
    receptors[20:] = F.normalize(receptors[:20] + 3e-7 * torch.randn(20, 16), dim=1)  # of like scores
    receptors[30] = receptors[10]
    ligands = F.normalize(torch.randn(25, 16), dim=1)
    ligands[:5] = receptors[3:8]  # as near as can be
    if half:
        ligands, receptors = ligands.half().float(), receptors.half().float()
    every = torch.stack([scores(ligands, one.expand_as(ligands)) for one in receptors], dim=1)
    own = np.arange(25) % 40
    score = every[torch.arange(25), torch.from_numpy(own)]
    expected = (every > score[:, None]).sum(dim=1)
    assert num_better(ligands, own, score, receptors, scores).tolist() == expected.tolist()
    assert len(set(expected.tolist())) > 5
