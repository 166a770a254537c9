"""What ESM C is made of: its sizes, and its weights without the language-model head.

Architecture: ESM Cambrian (EvolutionaryScale 2024; https://github.com/Biohub/esm).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from snw_dist.embedding.esmc.attention import HEAD_SIZE

ROPE_THETA = 10000.0  # of the rotary embedding
VOCABULARY_ROWS = 64  # of the embedding table; 33 of them are tokens


@dataclass(frozen=True)
class EsmcLayer:
    """Weights of one block; linear weights are [out, in] and have no bias."""

    norm_weight: torch.Tensor
    norm_bias: torch.Tensor
    qkv: torch.Tensor
    q_norm: torch.Tensor
    k_norm: torch.Tensor
    out: torch.Tensor
    mlp_norm_weight: torch.Tensor
    mlp_norm_bias: torch.Tensor
    gate_up: torch.Tensor
    down: torch.Tensor


@dataclass(frozen=True)
class EsmcWeights:
    """Weights of ESM C without its language-model head."""

    embed: torch.Tensor
    """[tokens of the alphabet, d_model]"""
    layers: Sequence[EsmcLayer]
    final_norm: torch.Tensor
    """[d_model]"""

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return int(self.embed.shape[-1])

    @property
    def shape(self) -> EsmcShape:
        """Its sizes."""
        return EsmcShape(self.d_model, len(self.layers), int(self.layers[0].down.shape[-1]))

    @property
    def num_heads(self) -> int:
        """See `EsmcShape`."""
        return self.shape.num_heads


@dataclass(frozen=True)
class EsmcShape:
    """Sizes of an ESM C."""

    d_model: int
    num_layers: int
    intermediate: int

    @property
    def num_heads(self) -> int:
        """Attention heads, of 64 channels each."""
        return self.d_model // HEAD_SIZE

    @property
    def products(self) -> list[tuple[int, int]]:
        """The matrix products of a block: columns of their input and of their output."""
        d, inner = self.d_model, self.intermediate
        return [(d, 3 * d), (d, d), (d, 2 * inner), (inner, d)]

    def blank(self) -> EsmcWeights:
        """Weights of these sizes, all zero, to be loaded into."""
        d, zeros = self.d_model, torch.zeros
        layers = tuple(
            EsmcLayer(
                zeros(d), zeros(d), zeros(3 * d, d), zeros(d), zeros(d), zeros(d, d),
                zeros(d), zeros(d), zeros(2 * self.intermediate, d), zeros(d, self.intermediate),
            )
            for _ in range(self.num_layers)
        )  # fmt: skip
        return EsmcWeights(zeros(VOCABULARY_ROWS, d), layers, zeros(d))

    def flops(self, lengths: Sequence[int], depth: int) -> int:
        """Floating-point operations of the matrix products of `depth` blocks over sequences of these tokens.

        2 for each multiply-add: the linear layers, and the scores and their product with v in the attention.
        """
        linear = 2 * sum(lengths) * (4 * self.d_model**2 + 3 * self.d_model * self.intermediate)
        attention = 4 * self.d_model * sum(length * length for length in lengths)
        return depth * (linear + attention)
