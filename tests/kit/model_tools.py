"""Small pair networks, and pairs of random sequences for them."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args

import torch
from torch import nn

from snw_dist.config import ModelName, ModelSection
from snw_dist.model.build import build_model
from snw_dist.model.pair import PairOutput, Side

D_INPUT = 24
SMALL = ModelSection(
    d_model=32, num_heads=4, num_conv_layers=1, num_transformer_layers=1, num_pooling_queries=4, embedding_size=16
)
NAMES: tuple[ModelName, ...] = get_args(ModelName)


def model_of(name: str, seed: int = 1, **changes: Any) -> nn.Module:
    return build_model(dataclasses.replace(SMALL, name=name, **changes), D_INPUT, seed)  # type: ignore[arg-type]


def side(lengths: list[int], pairs: list[int], seed: int = 0, extra: int = 0, garbage: float | None = None) -> Side:
    """Random sequences; `garbage` fills what lies behind them, `extra` positions beyond the longest."""
    states = torch.full((len(lengths), max(lengths) + extra, D_INPUT), 0.0 if garbage is None else garbage)
    for row, length in enumerate(lengths):
        states[row, :length] = torch.randn(length, D_INPUT, generator=torch.Generator().manual_seed(seed * 1000 + row))
    mask = torch.arange(states.shape[1]) < torch.tensor(lengths)[:, None]
    return Side(states, mask, torch.tensor(pairs), tuple(lengths))


LIGANDS, RECEPTORS, LEFT, RIGHT = [1, 8, 9, 15], [30, 2, 41], [0, 1, 2, 3, 3, 0], [0, 1, 2, 2, 1, 1]


def compared(output: PairOutput) -> torch.Tensor:
    """What the score is made of, before it is cut to [0, 1]."""
    raw = output.distance if output.logit is None else output.logit
    assert raw is not None
    return raw
