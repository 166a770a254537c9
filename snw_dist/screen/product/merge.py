"""Lists of the best partners, and one list made of several: exact, in any order, any number of times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Best:
    """The best partners of each row, the best first; of equal scores the partner with the lower number first."""

    score: torch.Tensor
    """[m, k] float32 in (0, 1], never rising along a row."""
    index: torch.Tensor
    """[m, k] int64: the numbers of the partners."""

    def shifted(self, first: int) -> Best:
        """The same lists where partners are counted from `first`, as a part of a library needs it."""
        return Best(self.score, self.index + first)


def merged(lists: Sequence[Best], k: int) -> Best:
    """The best `k` of the partners of all lists, [m, min(k, partners)]; no partner of a row may be in two of them.

    The result does not depend on the order of the lists, nor on what was merged before.

    Raises `ValueError` where there is no list, or where they are not of equally many rows.
    """
    if not lists:
        raise ValueError("merged: no list of partners was given.")
    if len({len(one.score) for one in lists}) > 1:
        raise ValueError(f"merged: lists of {[len(one.score) for one in lists]} rows do not belong together.")
    score = torch.cat([one.score for one in lists], dim=1)
    index = torch.cat([one.index for one in lists], dim=1)
    by_number = index.argsort(dim=1)
    by_score = score.gather(1, by_number).argsort(dim=1, descending=True, stable=True)
    chosen = by_number.gather(1, by_score[:, :k])
    return Best(score.gather(1, chosen), index.gather(1, chosen))
