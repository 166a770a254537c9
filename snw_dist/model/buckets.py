"""Sequences of like length together, so that little is computed for padding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

OVERHEAD = {"cpu": 48, "cuda": 65536}
"""What it costs to compute a group by itself, in residues, by type of device; on a GPU that is to start its kernels."""
MULTIPLE = {"cpu": 1, "cuda": 32}
"""What lengths are rounded up to, by type of device.

On a GPU a kernel is looked for at each new shape, for every matrix product: a tenth of a millisecond in 16 bits.
"""
ROWS = {"cpu": 1, "cuda": 16}
"""Likewise what numbers of sequences are rounded up to."""


def rounded_up(length: int, multiple: int) -> int:
    """The next multiple, from `length` on."""
    return -(-length // multiple) * multiple


def length_groups(
    lengths: Sequence[int], overhead: int, multiple: int = 1, rows: int = 1
) -> list[tuple[int, int, int]]:
    """Cut a line of sequences into groups, each padded to its longest, rounded up: (start, stop, longest) of each.

    All but the last begin and end at multiples of `rows`.

    The cut has the least residues, padding and `overhead` for every group included, if the line is sorted by length;
    else it is as good as neighbours allow.
    """
    rounded = [rounded_up(length, multiple) for length in lengths]
    ceiling = np.maximum.accumulate(np.asarray(rounded))  # equal to them where they are sorted
    if len(lengths) * ceiling[-1] - ceiling.sum() <= overhead:  # all the padding there is
        return [(0, len(lengths), int(ceiling[-1]))]
    changes = np.flatnonzero(np.diff(ceiling, append=ceiling[-1] + 1)) + 1  # only between lengths is there a cut
    ends = np.unique([min(rounded_up(end, rows), len(lengths)) for end in changes.tolist()])
    starts = np.concatenate([[0], ends])
    best, last = np.zeros(len(starts)), np.zeros(len(starts), dtype=np.int64)
    for i, end in enumerate(ends, start=1):
        cost = best[:i] + (end - starts[:i]) * ceiling[end - 1]
        last[i] = cost.argmin()
        best[i] = cost[last[i]] + overhead
    groups, i = [], len(ends)
    while i > 0:
        groups.append((int(starts[last[i]]), int(starts[i]), int(ceiling[starts[i] - 1])))
        i = int(last[i])
    return groups[::-1]
