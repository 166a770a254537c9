"""What is one unit of work: pure arithmetic on numbers of sequences, which knows nothing of who does the work.

Ligands are *ranked* for receptors, which *own* a list each, or the other way round. The vectors of a library lie in
blocks. A *part* is some blocks of what is ranked, a *group* some owners, and a unit of work is a part with a group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from snw_dist.arrays import IntArray

BLOCK_RESIDUES = 1 << 18
"""Residues that are embedded as one unit of work."""
BLOCK_ROWS = 1 << 16
"""Vectors of a block: so many are in memory at once."""
GROUP = 1024
"""Receptors whose lists are merged, and written, as one unit of work; of ligands at least as many."""
_MOST_GROUP, _GROUP_ENTRIES = 1 << 16, 1 << 20
"""Of ligands, each with a short list."""
UNIT_PAIRS = 1 << 28
_MOST_PARTS = 1024
"""Each unit leaves a list for each of its receptors, which the merge reads."""


@dataclass(frozen=True)
class Grid:
    """The units of a screen: every part with every group."""

    parts: tuple[range, ...]
    """Numbers of blocks of vectors of what is ranked."""
    groups: tuple[range, ...]
    """Numbers of owners."""

    def __len__(self) -> int:
        return len(self.parts) * len(self.groups)

    @property
    def num_lists(self) -> int:
        """Of all groups."""
        return self.groups[-1].stop

    def unit(self, number: int) -> tuple[int, int]:
        """Part and group of a unit."""
        return divmod(number, len(self.groups))

    def number(self, part: int, group: int) -> int:
        """The unit of a part and a group."""
        return part * len(self.groups) + group


def grid_of(starts: Sequence[int], num_owners: int, unit_pairs: int = UNIT_PAIRS, group: int = GROUP) -> Grid:
    """The units of what is ranked, in blocks that begin at `starts`, whose last one is the end, for `num_owners` lists.

    A unit has about `unit_pairs` pairs, more where there would be very many units. `group`: lists written together.
    """
    groups = cut(num_owners, group)
    rows = max(unit_pairs // len(groups[0]), -(-starts[-1] // _MOST_PARTS))
    ends = [*np.searchsorted(starts, [piece.stop for piece in cut_rows(starts, rows)]).tolist()]
    return Grid(tuple(range(*pair) for pair in zip([0, *ends], ends, strict=False)), groups)


def lists_together(by: str, most: int) -> int:
    """Lists of `most` entries that are merged, and written, as one unit: a library has many ligands."""
    return GROUP if by == "receptor" else min(_MOST_GROUP, max(GROUP, _GROUP_ENTRIES // most))


def cut_rows(starts: Sequence[int], rows: int) -> list[range]:
    """Whole blocks that begin at `starts`, whose last one is the end, together: at most `rows`, or one block."""
    pieces, first = [], 0
    for block in range(1, len(starts)):
        if block == len(starts) - 1 or starts[block + 1] - starts[first] > rows:
            pieces.append(range(starts[first], starts[block]))
            first = block
    return pieces


def cut(count: int, size: int) -> tuple[range, ...]:
    """`count` things, `size` at a time."""
    return tuple(range(start, min(start + size, count)) for start in range(0, count, size))


def block_starts(
    lengths: IntArray, most_residues: int = BLOCK_RESIDUES, most_rows: int = BLOCK_ROWS
) -> tuple[int, ...]:
    """Where blocks of sequences begin, and as the last number where they end; lengths: [sequences] residues.

    A block has at most `most_residues` and `most_rows`, or one sequence.
    """
    ends = np.cumsum(lengths)
    starts = [0]
    while starts[-1] < len(lengths):
        first = starts[-1]
        before = int(ends[first - 1]) if first else 0
        fitting = int(np.searchsorted(ends, before + most_residues, side="right"))
        starts.append(min(max(fitting, first + 1), first + most_rows))
    return tuple(starts)


def in_turn(count: int, task: int, num_tasks: int) -> list[int]:
    """The order in which a task of an array looks at all units: first its own, every n-th, then those of the others.

    Of another task it begins with the last ones, as that task begins with the first.
    """
    own = list(range(task, count, num_tasks))
    others = [
        unit for other in range(1, num_tasks) for unit in range((task + other) % num_tasks, count, num_tasks)[::-1]
    ]
    return own + others
