"""The limit that ESM C runs against: how fast this device multiplies matrices of the model's own shapes."""

from __future__ import annotations

import time

import torch
import torch.nn.functional as F

from snw_dist.embedding.esmc.architecture import EsmcShape

TOKENS = 4096
_LAUNCHES = {"cpu": 1, "cuda": 20}
"""On CUDA a product takes no longer than its launch and the wait for it, which the next launches hide."""


@torch.inference_mode()
def gemm_rate(shape: EsmcShape, device: torch.device, dtype: torch.dtype, repeats: int = 3) -> float:
    """Best rate over the four matrix shapes of a block at 4,096 tokens, by `F.linear`, in operations a second."""
    width, inner = shape.d_model, shape.intermediate
    best = 0.0
    for inputs, outputs in ((width, 3 * width), (width, width), (width, 2 * inner), (inner, width)):
        x = torch.randn(TOKENS, inputs, device=device, dtype=dtype)
        weight = torch.randn(outputs, inputs, device=device, dtype=dtype)
        seconds = min(_seconds(x, weight) for _ in range(repeats))
        best = max(best, 2.0 * TOKENS * inputs * outputs / seconds)
    return best


def _seconds(x: torch.Tensor, weight: torch.Tensor) -> float:
    if x.is_cuda:
        torch.cuda.synchronize(x.device)
    launches = _LAUNCHES[x.device.type]
    started = time.perf_counter()
    for _ in range(launches):
        F.linear(x, weight)
    if x.is_cuda:
        torch.cuda.synchronize(x.device)
    return (time.perf_counter() - started) / launches
