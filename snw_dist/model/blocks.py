"""Parts of the networks over residues: positions, convolution, self-attention, pooling.

Masked everywhere: what is in the padding never changes a result.
"""

from __future__ import annotations

import math
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

POSITION_SIZE = 32
_WITHOUT_PLANS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


def two_ended_positions(mask: torch.Tensor) -> torch.Tensor:
    """Sinusoids (Vaswani et al. 2017) of the distance to the first and to the last residue: [batch, length, 64].

    From both ends, because the anchors of a peptide are counted from either terminus.
    """
    length = mask.sum(dim=1, keepdim=True)
    from_start = torch.arange(mask.shape[1], device=mask.device).expand_as(mask)
    from_end = (length - 1 - from_start).clamp(min=0)
    steps = torch.arange(0, POSITION_SIZE, 2, device=mask.device, dtype=torch.float32) / POSITION_SIZE
    frequency = torch.exp(-math.log(1000.0) * steps)
    angles = torch.stack([from_start, from_end], dim=-1)[..., None].float() * frequency
    return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(2)


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor, dropout: float
) -> torch.Tensor:
    """Attention of [batch, heads, length, channels] to the keys that `mask` [batch, length] has; the same shape.

    Never by cuDNN, which torch prefers in 16 bits on a GPU: it makes a plan for each new shape, and batches of natural
    lengths have new shapes at every step. The mask is added: of one that is bool torch makes the same, but brings a
    number to the device for it, and waits.
    """
    added = torch.zeros(mask.shape, dtype=query.dtype, device=mask.device).masked_fill(~mask, float("-inf"))
    with nullcontext() if query.device.type == "cpu" else sdpa_kernel(_WITHOUT_PLANS):  # all threads have one setting
        return F.scaled_dot_product_attention(query, key, value, attn_mask=added[:, None, None, :], dropout_p=dropout)


class Convolution(nn.Conv1d):
    """`nn.Conv1d`, on a GPU as one matrix product: cuDNN makes a plan for each new shape here too."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, channels, length] -> [batch, channels, length by stride and padding]."""
        return self.as_product(x) if x.is_cuda else super().forward(x)

    def as_product(self, x: torch.Tensor) -> torch.Tensor:
        """As `forward`, [batch, channels, length]: each place side by side with its neighbours, times the weights."""
        [size], [stride] = self.kernel_size, self.stride
        sides = ((size - 1) // 2, size // 2) if isinstance(self.padding, str) else 2 * self.padding
        places = F.pad(x.transpose(1, 2), (0, 0, *sides)).unfold(1, size, stride).flatten(2)
        return F.linear(places, self.weight.flatten(1), self.bias).transpose(1, 2)


class NormLinear(nn.Linear):
    """LayerNorm and Linear in one, for inputs that need no gradient.

    Scale and shift of the norm are taken into the weights, which is the same function. So no gradient as wide as the
    input is ever computed, only that of the weights.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        self.scale = nn.Parameter(torch.ones(in_features))
        self.shift = nn.Parameter(torch.zeros(in_features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., in_features] -> [..., out_features]."""
        normalised = F.layer_norm(x, (self.in_features,))
        return F.linear(normalised, self.weight * self.scale, self.bias + self.weight @ self.shift)


class InputProjection(nn.Module):
    """Stored embeddings and their positions -> the width of the network; what lies in the padding is dropped here."""

    def __init__(self, d_input: int, d_model: int) -> None:
        super().__init__()
        self.input = NormLinear(d_input, d_model)
        self.position = nn.Linear(2 * POSITION_SIZE, d_model)

    def forward(self, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """`states`: [batch, length, d_input]; `mask`: [batch, length] bool -> [batch, length, d_model]."""
        states = states.masked_fill(~mask[..., None], 0.0).to(self.input.weight.dtype)  # NaN times weight 0 is NaN
        positions: torch.Tensor = self.position(two_ended_positions(mask).to(states.dtype))
        projected: torch.Tensor = positions + self.input(states)
        return projected


class ConvBlock(nn.Module):
    """Pre-norm residual convolution over neighbouring residues."""

    def __init__(self, d_model: int, kernel_size: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(d_model)
        self.convolution = Convolution(d_model, d_model, kernel_size, padding="same")
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """[batch, length, d_model] -> the same; padding enters the convolution as zeros."""
        inner = self.norm(x).masked_fill(~mask[..., None], 0.0)
        local: torch.Tensor = self.dropout(F.gelu(self.convolution(inner.transpose(1, 2))))
        return x + local.transpose(1, 2)


class TransformerBlock(nn.Module):
    """Pre-norm self-attention and feed-forward block (Xiong et al. 2020)."""

    def __init__(self, d_model: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads, self.dropout = num_heads, dropout
        self.attention_norm = nn.LayerNorm(d_model)
        self.qkv = nn.Linear(d_model, 3 * d_model)
        self.out = nn.Linear(d_model, d_model)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(d_model),
            nn.Linear(d_model, 2 * d_model),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(2 * d_model, d_model),
            nn.Dropout(dropout),
        )

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """[batch, length, d_model] -> the same; no residue attends to padding."""
        q, k, v = self.qkv(self.attention_norm(x)).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        dropout = self.dropout if self.training else 0.0
        context = attend(q, k, v, mask, dropout)
        x = x + F.dropout(self.out(context.transpose(1, 2).flatten(2)), self.dropout, self.training)
        fed: torch.Tensor = self.feed_forward(x)
        return x + fed


class AttentionPooling(nn.Module):
    """Learned queries, each a weighted mean over the residues.

    Each query starts at a place of its own, the queries being spread evenly from the first residue to the last, and
    learns from there: without that, proteins of one family, which differ at few positions, begin as the same vector
    and a network takes long to tell them apart.
    """

    def __init__(self, d_model: int, num_queries: int, value_size: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(d_model)
        self.queries = nn.Linear(d_model, num_queries, bias=False)
        nn.init.zeros_(self.queries.weight)
        self.value = nn.Linear(d_model, value_size)
        self.sharpness = nn.Parameter(torch.full((num_queries,), float(num_queries)))
        self.centre = nn.Parameter(torch.linspace(0.0, 1.0, num_queries))

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """[batch, length, d_model] -> [batch, num_queries, value_size]."""
        x = self.norm(x)
        last = (mask.sum(dim=1) - 1).clamp(min=1)
        place = torch.arange(mask.shape[1], device=x.device) / last[:, None]
        prior = -(((place[..., None] - self.centre.float()) * self.sharpness.float()) ** 2)
        logits = (self.queries(x).float() + prior).masked_fill(~mask[..., None], float("-inf"))
        weights = logits.softmax(dim=1).to(x.dtype)
        pooled: torch.Tensor = weights.transpose(1, 2) @ self.value(x)
        return pooled
