"""Losses as pure tensor functions of distances and labels."""

from __future__ import annotations

import torch


def contrastive_loss(distance: torch.Tensor, label: torch.Tensor, margin: float) -> torch.Tensor:
    """Contrastive loss of each pair (Hadsell et al. 2006), [num_pairs], for hard or soft labels in [0, 1].

    y d^2 + (1 - y) max(0, m - d)^2. For d < m this is (d - (1 - y) m)^2 + y (1 - y) m^2: the optimum is d = (1 - y) m,
    so the score 1 - d / m estimates the label.
    """
    return label * distance.square() + (1.0 - label) * (margin - distance).clamp(min=0.0).square()
