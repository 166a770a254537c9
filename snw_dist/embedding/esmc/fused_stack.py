"""The blocks of ESM C on CUDA in 16 bits: nine kernels a block, four of them matrix products.

q, k and v come from one product, gate and up from another, and the other two add their result to the residual stream
themselves. `fused` does what stands between. It needs Triton, so this module is imported only where that is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F

from hpc.machine.transfer import sent
from snw_dist.embedding.esmc.architecture import EsmcLayer
from snw_dist.embedding.esmc.attention import PackedLengths
from snw_dist.embedding.esmc.fused import attend_within, layer_norm, norm_and_rotate, query_blocks, swiglu
from snw_dist.embedding.esmc.plain import inverse_frequencies


class FusedStack:
    """Blocks one after another. The weights are used as they are, without a copy; final_norm is [d_model]."""

    def __init__(
        self, layers: Iterable[EsmcLayer], final_norm: torch.Tensor | None, scale: float, device: torch.device
    ) -> None:
        self._layers, self._final_norm, self._factor = list(layers), final_norm, 1.0 / scale
        self._qk_norms = [torch.stack([layer.q_norm, layer.k_norm]) for layer in self._layers]
        self._turns = turns_of(0, device)

    def states(self, x: torch.Tensor, places: torch.Tensor, lengths: PackedLengths) -> Iterator[torch.Tensor]:
        """See `packed.Stack`: x and each state are [tokens, d_model], places [tokens]."""
        if lengths.longest > len(self._turns):
            self._turns = turns_of(lengths.longest, x.device)
        blocks = sent(query_blocks(lengths.lengths), x.device)
        for layer, qk_norm in zip(self._layers, self._qk_norms, strict=True):
            qkv = F.linear(layer_norm(x, layer.norm_weight, layer.norm_bias), layer.qkv)
            norm_and_rotate(qkv, qk_norm, places, self._turns)
            x.addmm_(attend_within(qkv, blocks), layer.out.t(), alpha=self._factor)
            gate_up = F.linear(layer_norm(x, layer.mlp_norm_weight, layer.mlp_norm_bias), layer.gate_up)
            x.addmm_(swiglu(gate_up), layer.down.t(), alpha=self._factor)
            norm = self._final_norm if layer is self._layers[-1] else None
            yield x if norm is None else layer_norm(x, norm, None)


def turns_of(count: int, device: torch.device) -> torch.Tensor:
    """Cosines and sines of the rotary embedding at the first `count` positions: [count, 2, 32] float32."""
    angles = torch.arange(count, device=device)[:, None] * inverse_frequencies(device)
    return torch.stack([angles.cos(), angles.sin()], dim=1)
