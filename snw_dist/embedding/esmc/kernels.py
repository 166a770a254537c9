"""Whether the fused kernels run on a device. Everybody asks here, as a node may lack what Triton needs."""

from __future__ import annotations

import logging
from functools import cache

import torch

from snw_dist.embedding.esmc.attention import has_varlen_kernel

log = logging.getLogger(__name__)


@cache
def has_fused_kernels(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether `fused` computes there in 16 bits: one small kernel is built and run, once in a process.

    Triton comes with PyTorch's CUDA builds, but it needs a C compiler and Python's headers on the node. Without them
    the plain path does the same in 1.5 times the time, and a warning says why.
    """
    if not has_varlen_kernel(device, dtype):
        return False
    try:
        from snw_dist.embedding.esmc.fused import swiglu

        swiglu(torch.zeros(1, 2, device=device, dtype=dtype))
    except Exception as error:  # noqa: BLE001 - Triton passes on what the compiler, the linker and the driver raise
        reason = " ".join(str(error).split())[-300:]
        log.warning("no fused kernels on %s, so ESM C takes 1.5 times as long: Triton says %s", device, reason)
        return False
    return True
