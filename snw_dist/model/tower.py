"""The tower that turns the residues of one sequence into one vector: CNN (local), transformer (global), pooling.

Without convolutions and transformer blocks it is the `light` one: projection, attention pooling, MLP.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from snw_dist.model.blocks import AttentionPooling, ConvBlock, InputProjection, TransformerBlock
from snw_dist.model.buckets import MULTIPLE, OVERHEAD, ROWS, length_groups
from snw_dist.model.pair import Side


class ResidueEncoder(nn.Module):
    """[batch, length, d_input] and a mask -> [batch, length, d_model], one vector a residue."""

    def __init__(
        self,
        d_input: int,
        d_model: int,
        num_heads: int,
        num_conv_layers: int,
        num_transformer_layers: int,
        kernel_size: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.input = InputProjection(d_input, d_model)
        convolutions = [ConvBlock(d_model, kernel_size, dropout) for _ in range(num_conv_layers)]
        transformer = [TransformerBlock(d_model, num_heads, dropout) for _ in range(num_transformer_layers)]
        self.blocks = nn.ModuleList([*convolutions, *transformer])

    def forward(self, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """`states`: [batch, length, d_input]; `mask`: [batch, length] bool, true at residues (at least one)."""
        x: torch.Tensor = self.input(states, mask)
        for block in self.blocks:
            x = block(x, mask)
        return x


class Tower(nn.Module):
    """The distinct sequences of a side -> [num_distinct, embedding_size], float32 unit vectors.

    The queries of the pooling stay apart, so that the vector keeps what stands where. Sequences of like length go
    through together, so that little is computed for padding; it is best if the batch is sorted by length.
    """

    def __init__(
        self, encoder: ResidueEncoder, d_model: int, num_queries: int, embedding_size: int, dropout: float
    ) -> None:
        super().__init__()
        self.groups_lengths = True
        """Off: all in one pass, for ranks that must make equally many."""
        self.encoder = encoder
        self.pooling = AttentionPooling(d_model, num_queries, d_model // 2)
        self.output = nn.Sequential(
            nn.LayerNorm(num_queries * (d_model // 2)),
            nn.Linear(num_queries * (d_model // 2), d_model),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(d_model, embedding_size),
        )

    def forward(self, side: Side) -> torch.Tensor:
        """[num_distinct, embedding_size] float32; every sequence has at least one residue."""
        groups, device = [(0, *side.mask.shape)], side.mask.device.type
        if self.groups_lengths:
            groups = length_groups(side.lengths, OVERHEAD[device], MULTIPLE[device], ROWS[device])
        pooled = [self._pooled(side.states[i:j, :longest], side.mask[i:j, :longest]) for i, j, longest in groups]
        vector: torch.Tensor = self.output(torch.cat(pooled))
        return F.normalize(vector.float(), dim=-1)

    def _pooled(self, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        pooled: torch.Tensor = self.pooling(self.encoder(states, mask), mask)
        return pooled.flatten(1)
