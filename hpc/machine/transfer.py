"""Copies from the processor to a GPU that nobody waits for."""

from __future__ import annotations

import torch


def sent(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The same tensor [...] on `device`, in the stream of the caller.

    `tensor.to(device)` from ordinary memory waits until the device has done all that was asked of it before, and the
    device then waits for its next work. torch keeps the pinned memory for later copies.
    """
    if device.type != "cuda" or tensor.is_cuda:
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
