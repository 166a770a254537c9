"""Parts of ligands and of receptors at once, so that few pairs lie across parts.

A pair whose ligand and receptor are in different parts cannot be used without a leak. Groups that no pair connects
go to a part as a whole, and nothing is lost. Groups too large for that are cut: their ligands and their receptors are
dealt independently. Then each unit moves to the part where it serves best, in turn, until next to none moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from snw_dist.data.assign import assign_parts

_MAX_ROUNDS = 20
_NEAR = 0.8
"""A part with less than this of its share is too small."""


class Side(NamedTuple):
    """Units (clusters) of one side, numbered in random order: that of each pair, and how many there are."""

    unit: NDArray[np.int64]
    num: int


def cold_parts(ligand: Side, receptor: Side, shares: Sequence[float]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The part of each ligand unit and of each receptor unit; a pair is kept when both are in the same part.

    Kept pairs are near `shares` (which sum to 1) of each other, and many.
    """
    num = ligand.num + receptor.num
    ends = (ligand.unit, receptor.unit + ligand.num)
    links = coo_array((np.ones(len(ligand.unit)), ends), shape=(num, num)).tocsr()
    links = links + links.T  # rows: pairs of each unit with each unit of the other side
    _, group = connected_components(links, directed=False)
    part = _first_parts(ligand, receptor, group.astype(np.int64), shares)
    _improve(part, links, np.array(shares) * len(ligand.unit))
    return part[: ligand.num], part[ligand.num :]


def _first_parts(ligand: Side, receptor: Side, group: NDArray[np.int64], shares: Sequence[float]) -> NDArray[np.int64]:
    """Whole groups as units of their own; the largest ones are cut, as few as it takes for no part to be too small."""
    of_pair = group[ligand.unit]
    size = np.bincount(of_pair, minlength=group.max() + 1)  # groups are numbered by their first ligands
    largest = np.argsort(-size, kind="stable")
    largest = largest[size[largest] > min(shares) * len(of_pair)]
    part = assign_parts(size, shares)[group]
    for num_cut in range(1, len(largest) + 1):
        kept = np.bincount(part[ligand.unit][_together(part, ligand, receptor)], minlength=len(shares))
        if (kept >= _NEAR * np.array(shares) * kept.sum()).all():
            break
        cut = np.isin(np.arange(len(size)), largest[:num_cut])
        part = assign_parts(np.where(cut, 0, size), shares)[group]
        _cut(part, cut[of_pair], ligand, receptor, shares)
    return part


def _cut(
    part: NDArray[np.int64], pairs: NDArray[np.bool_], ligand: Side, receptor: Side, shares: Sequence[float]
) -> None:
    """Deal the ligands of these pairs and their receptors independently; changes `part`."""
    roots = np.sqrt(shares).tolist()  # a share of both sides gives its square in pairs
    for side, offset in ((ligand, 0), (receptor, ligand.num)):
        count = np.bincount(side.unit[pairs], minlength=side.num)
        units = np.flatnonzero(count)
        part[units + offset] = assign_parts(count, roots)[units]


def _together(part: NDArray[np.int64], ligand: Side, receptor: Side) -> NDArray[np.bool_]:
    same: NDArray[np.bool_] = part[ligand.unit] == part[receptor.unit + ligand.num]
    return same


def _improve(part: NDArray[np.int64], links: csr_array, target: NDArray[np.float64]) -> None:
    """Let each unit in turn move to the part where it adds most, until next to none moves; changes `part`.

    What grows is the fairness of Mo and Walrand (2000), the sum of target * -(kept / target)^-8 over the parts: it sees
    first to the part that lacks most. Plain lists, because most units have few pairs.
    """
    begin, linked, pairs = links.indptr.tolist(), links.indices.tolist(), links.data.tolist()
    parts, wanted = part.tolist(), target.tolist()
    kept = _kept(part, links, len(wanted)).tolist()
    for _ in range(_MAX_ROUNDS):
        moved = 0
        for unit in range(len(parts)):
            adds: dict[int, float] = {}
            for i in range(begin[unit], begin[unit + 1]):
                there = parts[linked[i]]
                adds[there] = adds.get(there, 0.0) + pairs[i]
            old = parts[unit]
            kept[old] -= adds.get(old, 0.0)
            gain = {
                p: wanted[p] * ((wanted[p] / kept[p]) ** 8 - (wanted[p] / (kept[p] + n)) ** 8) for p, n in adds.items()
            }
            best = max(gain, key=gain.__getitem__, default=old)
            if gain and gain[best] > gain.get(old, 0.0) * (1 + 1e-9):
                parts[unit] = best
                moved += best != old
            kept[parts[unit]] += adds.get(parts[unit], 0.0)
        if moved <= len(parts) // 1000:
            break
    part[:] = parts


def _kept(part: NDArray[np.int64], links: csr_array, num_parts: int) -> NDArray[np.float64]:
    """Pairs within each part, and one more, so that no part is empty; every pair is in `links` twice."""
    rows = np.repeat(np.arange(len(part)), np.diff(links.indptr))
    same = part[rows] == part[links.indices]
    return 1 + np.bincount(part[rows[same]], weights=links.data[same], minlength=num_parts) / 2
