"""Linear layers of ESM C: plain ones for any device and type, and oneDNN's packed ones for float32 on processors.

A packed weight is laid out once for the matrix kernel. Measured on two cores at 512 tokens: 160 GFLOP/s against 140 of
`F.linear`. It also gives a row the same bits whatever the number of rows beside it, which `F.linear` does not below 8
rows.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

Linear = Callable[[torch.Tensor], torch.Tensor]
"""`x @ weight.T` for x [tokens, in] and weight [out, in]: a new tensor [tokens, out]."""


class PlainLinear:
    """Works on every device, in every floating type, and under autograd; weight [out, in]."""

    def __init__(self, weight: torch.Tensor) -> None:
        self._weight = weight

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """See `Linear`."""
        return F.linear(x, self._weight)


class PackedLinear:
    """float32 on a processor, for inference; the operator is the one that torch.compile uses for frozen weights.

    weight [out, in].

    It could also add, multiply or apply SiLU to the product while that is in the cache. For SwiGLU this took 102 ms at
    512 tokens of width 960 against 94 ms with in-place operators afterwards.
    """

    def __init__(self, weight: torch.Tensor, block_tokens: int) -> None:
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), block_tokens)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """See `Linear`."""
        result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, self._weight, None, "none", [], "")
        return result


def linear(weight: torch.Tensor, block_tokens: int | None) -> Linear:
    """The fastest form for a weight [out, in] on its device; `block_tokens` is None where tokens are not cut up."""
    packs = weight.device.type == "cpu" and weight.dtype == torch.float32 and torch._C._has_mkldnn
    return PackedLinear(weight, block_tokens) if packs and block_tokens else PlainLinear(weight)
