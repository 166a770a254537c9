"""Rows that stand for the same thing: equal ones are kept once, contradictory ones are all rejected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snw_dist.data.files.rejects import Rejects
from snw_dist.data.records.rows import Rows


class Column(NamedTuple):
    """Values `[row]` that must be equal in a group, what they are called, and how one is shown."""

    name: str
    values: NDArray[Any]
    show: Callable[[Any], object]


class Grouped(NamedTuple):
    """Which rows `[row]` are the first of their group, and which belong to a contradictory group."""

    first: NDArray[np.bool_]
    bad: NDArray[np.bool_]


def group_rows(key: NDArray[np.int64], columns: Sequence[Column]) -> tuple[Grouped, NDArray[np.int64]]:
    """Group rows of equal `key` [num_rows]; also the group of each row, [num_rows]. Sorting makes it n log n."""
    order = np.argsort(key, kind="stable")
    is_first = np.ones(len(order), np.bool_)
    is_first[1:] = key[order][1:] != key[order][:-1]
    group = np.cumsum(is_first) - 1
    start = order[is_first][group]
    differs = np.zeros(len(order), np.bool_)
    for column in columns:
        differs |= column.values[order] != column.values[start]
    first, bad = np.zeros(len(order), np.bool_), np.zeros(len(order), np.bool_)
    first[order] = is_first
    bad[order] = (np.bincount(group, weights=differs) > 0)[group]
    number = np.empty(len(order), np.int64)
    number[order] = group
    return Grouped(first, bad), number


def reject_groups(
    rows: Rows,
    what: str,
    bad: NDArray[np.bool_],
    group: NDArray[np.int64],
    columns: Sequence[Column],
    name_of: Callable[[int], str],
    fix: str,
    rejects: Rejects,
) -> None:
    """Reject each row of the bad groups, naming another row of its group and how the two differ.

    `bad`, and the number `group` of its group, of each row: [num_rows].
    """
    members: dict[int, list[int]] = {}
    for row in np.flatnonzero(bad).tolist():
        members.setdefault(int(group[row]), []).append(row)
    for row in np.flatnonzero(bad).tolist():
        mine, theirs, other, column = _difference(row, members[int(group[row])], columns)
        file = int(rows.file[row])
        place = f"line {rows.line[other]}" + (
            f" of {rows.files[rows.file[other]].name}" if rows.file[other] != file else ""
        )
        reason = f"{what}: {column} {mine} here, {theirs} at {place}"
        where = rows.files[file] if file else None
        rejects.add("pairs", int(rows.line[row]), name_of(row), reason, fix, str(mine), where)


def _difference(row: int, members: Sequence[int], columns: Sequence[Column]) -> tuple[object, object, int, str]:
    for other in members:
        for name, values, show in columns:
            if values[row] != values[other]:
                return show(values[row]), show(values[other]), other, name
    raise AssertionError("a contradictory group has two rows that differ")


def numbered(group: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same groups [n], numbered from 0 in the order of their first members."""
    _, first, inverse = np.unique(group, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]
