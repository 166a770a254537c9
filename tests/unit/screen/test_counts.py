"""In how many lists a hit is, from the counts of parts; that of a whole screen stands in `test_run`."""

from __future__ import annotations

import numpy as np

from snw_dist.screen.counts import summed


def test_the_counts_of_parts_are_added() -> None:
    numbers, counts = summed(np.array([4, 6, 1, 6]), np.array([2, 3, 1, 4]))
    assert numbers.tolist() == [1, 4, 6]
    assert counts.tolist() == [1, 2, 7]
    assert [len(one) for one in summed(np.array([], dtype=np.int64), np.array([], dtype=np.int64))] == [0, 0]
