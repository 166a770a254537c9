"""In how many lists each hit is: counted once, and looked up by whoever writes a part of the result."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from hpc.errors import CorruptError
from snw_dist.arrays import IntArray
from snw_dist.screen.array_file import read_arrays, write_arrays
from snw_dist.screen.false_hits import CutoffUnits
from snw_dist.screen.making import Making

FILE = "counts.safetensors"


class CountUnits:
    """One unit of work (`snw_dist.screen.work.Units`), which looks at every list once."""

    kind, unit = "counts", "lists"

    def __init__(self, making: Making, cutoffs: CutoffUnits) -> None:
        self._of, self._cutoffs = making, cutoffs
        self._path = making.scoring.folder / FILE

    def __len__(self) -> int:
        return 1

    def size(self, number: int) -> int:
        """Lists."""
        return self._of.scoring.grid.num_lists

    def has(self, number: int, verify: bool) -> bool:
        """Whether they were counted; the file is always looked at."""
        try:
            return bool(self._read())
        except CorruptError:
            return False

    def do(self, number: int, checkpoint: Callable[[], None]) -> None:
        """Count the hits of all lists."""
        of, numbers, counts = self._of, list[IntArray](), list[IntArray]()
        for group, owners in enumerate(of.scoring.grid.groups):
            checkpoint()
            least = self._cutoffs.least(owners, of.plan.content.threshold)
            found = np.unique(of.lists(group).entries(least), return_counts=True)
            numbers, counts = [*numbers, found[0]], [*counts, found[1]]
        found = summed(np.concatenate(numbers), np.concatenate(counts))
        write_arrays(self._path, dict(zip(("number", "count"), found, strict=True)), self._facts)

    def of(self, numbers: IntArray) -> IntArray:
        """[hits]: how many lists have each of these hits, [hits] numbers."""
        known, counts = self._counts
        found: IntArray = counts[np.searchsorted(known, numbers)]
        return found

    @functools.cached_property
    def _counts(self) -> tuple[IntArray, IntArray]:
        arrays = self._read()
        return arrays["number"], arrays["count"]

    def _read(self) -> dict[str, Any]:
        return read_arrays(self._path, self._facts)

    @property
    def _facts(self) -> dict[str, Any]:
        return {"screen": self._of.scoring.screen}


def summed(numbers: IntArray, counts: IntArray) -> tuple[IntArray, IntArray]:
    """The distinct numbers, [n] and rising, with the sums of their counts, [n]; numbers, counts: [entries]."""
    distinct, place = np.unique(numbers, return_inverse=True)
    total = np.zeros(len(distinct), dtype=np.int64)
    np.add.at(total, place, counts)
    return distinct, total
