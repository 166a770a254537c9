"""How fast this machine multiplies matrices: the limit of whatever is made of such products."""

from __future__ import annotations

import time
from collections.abc import Iterable

import torch
import torch.nn.functional as F

ROWS = 4096
_LAUNCHES = {"cpu": 1, "cuda": 20}
"""On CUDA a product takes no longer than its launch and the wait for it, which the next launches hide."""


@torch.inference_mode()
def matrix_rate(
    products: Iterable[tuple[int, int]], device: torch.device, dtype: torch.dtype, rows: int = ROWS, repeats: int = 3
) -> float:
    """Best rate of `F.linear` over products (columns of the input, of the output), in operations a second.

    It draws no number from torch's random state: a program goes on as if nobody had measured.
    """
    own, best = torch.Generator(device).manual_seed(0), 0.0
    for inputs, outputs in products:
        x, weight = (torch.randn(n, inputs, device=device, dtype=dtype, generator=own) for n in (rows, outputs))
        seconds = min(_seconds(x, weight) for _ in range(repeats))
        best = max(best, 2.0 * rows * inputs * outputs / seconds)
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
