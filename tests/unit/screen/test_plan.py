"""Units of work: every pair is in exactly one, and no task has a say in what they are."""

from __future__ import annotations

import numpy as np
import pytest

from snw_dist.screen import plan
from snw_dist.screen.plan import block_starts, cut, cut_rows, grid_of, in_turn


@pytest.mark.parametrize(
    ("lengths", "most", "rows", "starts"),
    [
        ([5], 10, 9, (0, 1)),
        ([5, 5, 5], 10, 9, (0, 2, 3)),
        ([5, 5, 5], 100, 2, (0, 2, 3)),
        ([2, 30, 30], 10, 9, (0, 1, 2, 3)),
        ([1] * 7, 3, 9, (0, 3, 6, 7)),
    ],
)
def test_where_blocks_begin(lengths: list[int], most: int, rows: int, starts: tuple[int, ...]) -> None:
    assert block_starts(np.array(lengths), most, rows) == starts


@pytest.mark.parametrize(
    ("starts", "rows", "pieces"),
    [
        ((0, 4), 1, [range(4)]),
        ((0, 4, 6, 9), 6, [range(6), range(6, 9)]),
        ((0, 4, 6, 9), 100, [range(9)]),
        ((0, 4, 6, 9), 0, [range(4), range(4, 6), range(6, 9)]),
    ],
)
def test_blocks_together(starts: tuple[int, ...], rows: int, pieces: list[range]) -> None:
    assert cut_rows(starts, rows) == pieces


@pytest.mark.parametrize(("owners", "pairs"), [(1, 1), (7, 30), (2500, 1000), (2500, 10**9)])
def test_each_pair_is_in_one_unit(owners: int, pairs: int) -> None:
    starts = (0, 3, 8, 9, 20)
    grid = grid_of(starts, owners, pairs)
    seen = np.zeros((20, owners), dtype=int)
    for number in range(len(grid)):
        part, group = grid.unit(number)
        assert grid.number(part, group) == number
        blocks = grid.parts[part]
        seen[starts[blocks.start] : starts[blocks.stop], grid.groups[group].start : grid.groups[group].stop] += 1
    assert (seen == 1).all()


def test_many_pairs_make_large_units_not_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "_MOST_PARTS", 5)
    assert len(grid_of(range(0, 1001, 10), 10, unit_pairs=1).parts) == 5
    assert cut(5, 2) == (range(2), range(2, 4), range(4, 5))


@pytest.mark.parametrize(("count", "tasks"), [(0, 1), (1, 4), (7, 1), (10, 3), (12, 4)])
def test_a_task_begins_with_its_own_units_and_looks_at_all(count: int, tasks: int) -> None:
    for task in range(tasks):
        order, own = in_turn(count, task, tasks), [*range(task, count, tasks)]
        assert order[: len(own)] == own
        assert sorted(order) == [*range(count)]
    if (count, tasks) == (10, 3):
        assert in_turn(count, 0, tasks) == [0, 3, 6, 9, 7, 4, 1, 8, 5, 2], "of the next task the last one first"
