"""The blocks of ESM C by PyTorch's own operators: on processors, in float32 on CUDA, and under autograd.

On a processor the tokens go through each layer in blocks that stay in its cache. `fused_stack` is held against this.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
import torch.nn.functional as F

from snw_dist.embedding.esmc.architecture import ROPE_THETA, EsmcLayer
from snw_dist.embedding.esmc.attention import HEAD_SIZE, PackedLengths, attend
from snw_dist.embedding.esmc.linear import linear

BLOCK_TOKENS = 512  # on a processor: q, k, v and the two halves of SwiGLU of a block fit its cache at every width


class Block:
    """One transformer block on its device, as two pure functions around the attention; under autograd if not packed."""

    def __init__(self, weights: EsmcLayer, scale: float, block_tokens: int | None) -> None:
        # Rotary embedding turns channels i and i + 32 of a head together. With q and k laid out so that they are
        # neighbours it is one complex product; the scores are sums over channels, whose order does not matter.
        heads = weights.out.shape[0] // HEAD_SIZE
        order = torch.arange(weights.out.shape[0], device=weights.out.device)
        order = order.view(heads, 2, HEAD_SIZE // 2).transpose(1, 2).reshape(-1)
        q, k, v = weights.qkv.chunk(3)
        gate, up = weights.gate_up.chunk(2)
        self._norm = weights.norm_weight, weights.norm_bias
        self._q, self._k, self._v = (linear(w, block_tokens) for w in (q[order], k[order], v))
        self._q_norm, self._k_norm = weights.q_norm[order], weights.k_norm[order]
        self._out = linear(weights.out / scale, block_tokens)
        self._mlp_norm = weights.mlp_norm_weight, weights.mlp_norm_bias
        self._gate, self._up = linear(gate, block_tokens), linear(up, block_tokens)
        self._down = linear(weights.down / scale, block_tokens)

    def project(self, x: torch.Tensor, rotation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """q, k, v [tokens, d_model] of x [tokens, d_model]; rotation is [tokens, 1, 32] complex."""
        shape = x.shape[-1:]
        normed = F.layer_norm(x, shape, *self._norm)
        q = _rotate(F.layer_norm(self._q(normed), shape, self._q_norm), rotation)
        k = _rotate(F.layer_norm(self._k(normed), shape, self._k_norm), rotation)
        return q, k, self._v(normed)

    def update(self, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """The block's output from its input and its attention, each [tokens, d_model]."""
        x = self._out(context).add_(x)
        normed = F.layer_norm(x, x.shape[-1:], *self._mlp_norm)
        gated = F.silu(self._gate(normed), inplace=True).mul_(self._up(normed))
        return self._down(gated).add_(x)


class PlainStack:
    """Blocks one after another; final_norm is [d_model]."""

    def __init__(
        self, layers: Iterable[EsmcLayer], final_norm: torch.Tensor | None, scale: float, device: torch.device
    ) -> None:
        self._block_tokens = BLOCK_TOKENS if device.type == "cpu" else None
        self._blocks = [Block(layer, scale, self._block_tokens) for layer in layers]
        self._final_norm = final_norm
        self.inverse_frequency = inverse_frequencies(device)

    def states(self, x: torch.Tensor, places: torch.Tensor, lengths: PackedLengths) -> Iterator[torch.Tensor]:
        """See `packed.Stack`: x and each state are [tokens, d_model], places [tokens]."""
        rotation = rotation_of(places, self.inverse_frequency)
        size = self._block_tokens
        buffers = [torch.empty_like(x) for _ in range(3)] if size else []
        for block in self._blocks:
            if size:
                _in_blocks(block, x, rotation, lengths, size, buffers)
            else:
                x = block.update(x, attend(*block.project(x, rotation), lengths))
            normed = block is self._blocks[-1] and self._final_norm is not None
            yield F.layer_norm(x, x.shape[-1:], self._final_norm) if normed else x


def _in_blocks(
    block: Block,
    x: torch.Tensor,
    rotation: torch.Tensor,
    lengths: PackedLengths,
    size: int,
    buffers: Sequence[torch.Tensor],
) -> None:
    """One layer in place, `size` tokens at a time; `buffers` are for q, k and v and as large as x."""
    parts = [slice(start, start + size) for start in range(0, len(x), size)]
    for part in parts:
        for buffer, values in zip(buffers, block.project(x[part], rotation[part]), strict=True):
            buffer[part] = values
    context = attend(buffers[0], buffers[1], buffers[2], lengths)
    for part in parts:
        x[part] = block.update(x[part], context[part])


def inverse_frequencies(device: torch.device) -> torch.Tensor:
    """Of the rotary embedding: [32], float32 whatever the network computes in, as rounding them moves far residues."""
    exponents = torch.arange(0, HEAD_SIZE, 2, dtype=torch.float32) / HEAD_SIZE
    return (1.0 / ROPE_THETA**exponents).to(device)


def rotation_of(positions: torch.Tensor, inverse_frequency: torch.Tensor) -> torch.Tensor:
    """The rotations of the rotary embedding at `positions` [tokens]: [tokens, 1, 32] complex64."""
    angles = positions[:, None].float() * inverse_frequency
    return torch.polar(torch.ones_like(angles), angles)[:, None]


def _rotate(x: torch.Tensor, rotation: torch.Tensor) -> torch.Tensor:
    """Rotary embedding (Su et al. 2021) in float32 of x [tokens, d_model], whose channel pairs are neighbours."""
    pairs = torch.view_as_complex(x.float().view(len(x), -1, HEAD_SIZE // 2, 2))
    return torch.view_as_real(pairs * rotation).view(x.shape).to(x.dtype)
