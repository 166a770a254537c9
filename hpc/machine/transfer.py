"""Copies to a GPU, from memory and from files, for which neither side waits longer than it must."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from hpc.disk.reading import open_regular

_PIECE = 4 * 2**20  # bytes: what a thread has read is still in the processor's cache when the device fetches it
_READERS = 4
"""One thread copies 5 GB/s from the system's cache of a file, less than a disk or a GPU can do."""


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

    They are read in pieces by several threads, and each is copied while others are read. No more than these bytes are
    in memory. Raises `OSError` where the file cannot be read, `EOFError` where it is too short.
    """
    there = torch.empty(num_bytes, dtype=torch.uint8, device=device)
    parts = [there[start : start + _PIECE] for start in range(0, num_bytes, _PIECE)]
    # Of pinned memory, which torch gives to nobody else before the copies from it have ended; and by this thread, as
    # in another one torch would take the first GPU for the one in use.
    pieces = [torch.empty(len(part), dtype=torch.uint8, pin_memory=device.type == "cuda") for part in parts]
    starts = range(first, first + num_bytes, _PIECE)
    descriptor = open_regular(file)
    try:
        with ThreadPoolExecutor(_READERS, "reader") as threads:
            read = threads.map(lambda piece, start: _read_whole(descriptor, piece.numpy().data, start), pieces, starts)
            for part, piece, _ in zip(parts, pieces, read, strict=True):
                part.copy_(piece, non_blocking=True)
    finally:
        os.close(descriptor)
    return there


def _read_whole(descriptor: int, view: memoryview, first: int) -> None:
    while view:
        count = os.preadv(descriptor, [view], first)
        if not count:
            raise EOFError(f"it ends at byte {first:,}")
        view, first = view[count:], first + count
