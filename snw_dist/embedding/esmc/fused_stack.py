"""The blocks of ESM C on CUDA in 16 bits: nine kernels a block, four of them matrix products.

q, k and v come from one product, gate and up from another. `fused` does what stands between; it needs Triton, so this
module is imported only where that is (`kernels`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F

from snw_dist.embedding.esmc.architecture import EsmcLayer
from snw_dist.embedding.esmc.attention import PackedLengths, attend
from snw_dist.embedding.esmc.fused import add_norm, norm_and_rotate, swiglu
from snw_dist.embedding.esmc.plain import inverse_frequencies

RESIDUAL = torch.bfloat16
"""Type of the sum of all changes, the residual stream."""


class FusedStack:
    """Blocks one after another. The weights are used as they are, without a copy."""

    def __init__(self, layers: Sequence[EsmcLayer], final_norm: torch.Tensor | None, scale: float) -> None:
        self._layers, self._final_norm, self._factor = layers, final_norm, 1.0 / scale
        self._qk_norms = [torch.stack([layer.q_norm, layer.k_norm]) for layer in layers]
        # The norm after a block is made with the block's last sum, so each block has that of the next one. Behind the
        # last there is the final norm, or any, as nobody asks for the result.
        first = [(layer.norm_weight, layer.norm_bias) for layer in layers]
        last = first[0] if final_norm is None else (final_norm, None)
        self._norms: list[tuple[torch.Tensor, torch.Tensor | None]] = [*first, last]
        self._turns = turns_of(0, layers[0].out.device)

    def states(self, x: torch.Tensor, positions: torch.Tensor, lengths: PackedLengths) -> Iterator[torch.Tensor]:
        """See `packed.Stack`."""
        if lengths.longest > len(self._turns):
            self._turns = turns_of(lengths.longest, x.device)
        x = x.to(RESIDUAL)
        normed = add_norm(x, None, 1.0, *self._norms[0])
        for layer, qk_norm, following in zip(self._layers, self._qk_norms, self._norms[1:], strict=True):
            qkv = F.linear(normed, layer.qkv)
            norm_and_rotate(qkv, qk_norm, positions, self._turns)
            q, k, v = qkv.chunk(3, dim=1)
            context = attend(q, k, v, lengths)
            normed = add_norm(x, F.linear(context, layer.out), self._factor, layer.mlp_norm_weight, layer.mlp_norm_bias)
            gated = swiglu(F.linear(normed, layer.gate_up))
            normed = add_norm(x, F.linear(gated, layer.down), self._factor, *following)
            yield normed if layer is self._layers[-1] and self._final_norm is not None else x


def turns_of(count: int, device: torch.device) -> torch.Tensor:
    """Cosines and sines of the rotary embedding at the first `count` positions: [count, 2, 32] float32."""
    angles = torch.arange(count, device=device)[:, None] * inverse_frequencies(device)
    return torch.stack([angles.cos(), angles.sin()], dim=1)
