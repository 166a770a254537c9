"""Distance and score of a pair."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from snw_dist.model.losses import contrastive_loss
from snw_dist.model.pair import closeness, unit_distance
from tests.kit.model_tools import LEFT, LIGANDS, model_of, side


def test_the_gradient_is_finite_at_distance_zero() -> None:
    vector = nn.functional.normalize(torch.randn(3, 8), dim=-1).requires_grad_()
    distance = unit_distance(vector, vector.detach().clone())
    assert distance.max() < 2e-3
    assert closeness(distance, 1.0).min() > 0.998
    distance.sum().backward()
    assert torch.isfinite(vector.grad).all()
    same = model_of("siamese").eval()
    both = side(LIGANDS, LEFT)
    contrastive_loss(same(both, both).distance, torch.zeros(6), 1.0).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in same.parameters() if p.grad is not None)


@pytest.mark.parametrize("margin", [0.1, 1.0, 2.0, 5.0])
def test_the_score_is_in_zero_to_one_and_falls_with_distance(margin: float) -> None:
    a, b = (nn.functional.normalize(torch.randn(500, 3, dtype=torch.float64), dim=-1) for _ in range(2))
    b[:10] = -a[:10]
    distance = unit_distance(a, b)
    score = closeness(distance, margin)
    assert score.dtype == distance.dtype == torch.float32
    assert 0.0 <= score.min() <= score.max() <= 1.0
    assert distance.min() >= 0.0
    assert distance.max() == pytest.approx(2.0, abs=1e-5)
    expected = 1 - np.linalg.norm(a.numpy() - b.numpy(), axis=1) / margin
    straight = expected > 0.05
    np.testing.assert_allclose(score.numpy()[straight], expected[straight], atol=2e-3 / margin)
    assert (score[distance.argsort()].diff() <= 0).all()


@pytest.mark.parametrize("margin", [0.1, 1.0, 2.0])
def test_scores_beyond_the_margin_never_tie(margin: float) -> None:
    distance = torch.linspace(0.0, 2.0, 2001, dtype=torch.float64).requires_grad_()
    score = closeness(distance.float(), margin)
    assert (score.diff() < 0).all()
    assert score.min() > 0.0
    assert closeness(torch.tensor(margin), margin) == pytest.approx(0.025)
    closeness(distance, margin).sum().backward()
    slopes = distance.grad.numpy() * margin
    assert np.abs(np.diff(slopes)).max() < 0.05 / margin * 2, "a jump"
