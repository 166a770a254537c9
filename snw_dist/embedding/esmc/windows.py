"""Which tokens go through the encoder together, and how a sequence longer than its context is cut: pure arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


def batch_stop(tokens: Sequence[int], start: int, tokens_per_batch: int) -> int:
    """Where the batch that begins at `start` ends: neighbours whose tokens fit together, and at least one."""
    total, stop = tokens[start], start + 1
    while stop < len(tokens) and total + tokens[stop] <= tokens_per_batch:
        total += tokens[stop]
        stop += 1
    return stop


@dataclass(frozen=True)
class Window:
    """Residues [start, stop) are run through the encoder, of which [keep_start, keep_stop) are stored."""

    start: int
    stop: int
    keep_start: int
    keep_stop: int


def windows(length: int, max_residues: int, overlap: int) -> list[Window]:
    """Cut a sequence longer than the trained context into overlapping windows of equal size.

    Each residue is kept from the window in which it is farthest from a cut: neighbouring windows meet in the middle
    of their overlap. The last window is moved back so that it is as long as the others. Raises `ValueError` where
    the overlap is no part of a window.
    """
    if not 0 <= overlap < max_residues:
        raise ValueError(f"overlap {overlap} must be at least 0 and less than the window of {max_residues}")
    if length <= max_residues:
        return [Window(0, length, 0, length)]
    starts = [*range(0, length - max_residues, max_residues - overlap), length - max_residues]
    cuts = [0, *((a + max_residues + b) // 2 for a, b in pairwise(starts)), length]
    return [Window(s, s + max_residues, a, b) for s, a, b in zip(starts, cuts[:-1], cuts[1:], strict=True)]
