"""Copies to a GPU, from memory and from files, for which neither side waits longer than it must."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from hpc.disk.reading import open_regular

_PIECE = 16 * 2**20  # bytes


def sent(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The same [...] on `device`, in the stream of the caller.

    `tensor.to(device)` from ordinary memory waits until the device has done all that was asked of it before, and the
    device then waits for its next work. torch keeps the pinned memory for later copies.
    """
    if device.type != "cuda" or tensor.is_cuda:
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def read_to(device: torch.device, file: Path, first: int, num_bytes: int) -> torch.Tensor:
    """Bytes of a file from number `first` on, on `device`: [num_bytes] uint8.

    A piece is read while the one before it is copied, so a few pieces are in memory, however much is read. Raises
    `OSError` where the file cannot be read, `EOFError` where it is too short.
    """
    there = torch.empty(num_bytes, dtype=torch.uint8, device=device)
    descriptor = open_regular(file)
    try:
        for start in range(0, num_bytes, _PIECE):
            # torch gives pinned memory to nobody else before the copy from it has ended.
            size = min(_PIECE, num_bytes - start)
            piece = torch.empty(size, dtype=torch.uint8, pin_memory=device.type == "cuda")
            _read_whole(descriptor, piece.numpy().data, first + start)
            there[start : start + size].copy_(piece, non_blocking=True)
    finally:
        os.close(descriptor)
    return there


def _read_whole(descriptor: int, view: memoryview, first: int) -> None:
    while view:
        count = os.preadv(descriptor, [view], first)
        if not count:
            raise EOFError(f"it ends at byte {first:,}")
        view, first = view[count:], first + count
