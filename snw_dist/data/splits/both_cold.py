"""Parts of ligands and of receptors at once, so that few pairs lie across parts.

A pair whose ligand and receptor are in different parts cannot be used without a leak. Groups that no pair connects
go to a part as a whole, and nothing is lost. Groups too large for that are cut: their ligands and their receptors are
dealt independently. Then each unit moves to the part where it serves best, in turn, until next to none moves.

Where both sides are one set (`data.symmetric`) there is one kind of unit, and the same is done with that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from snw_dist.data.splits.assign import assign_parts

_MAX_ROUNDS = 20
_NEAR = 0.8
"""A part with less than this of its share is too small."""


class Side(NamedTuple):
    """Units (clusters) of one side, numbered in random order: that of each pair, and how many there are."""

    unit: NDArray[np.int64]
    """[num_pairs]"""
    num: int


def cold_parts(ligand: Side, receptor: Side, shares: Sequence[float]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The part of each ligand unit and of each receptor unit; a pair is kept when both are in the same part.

    Kept pairs are near `shares` (which sum to 1) of each other, and many. Returns [ligand.num] and [receptor.num].
    """
    ends = _Ends(ligand.unit, receptor.unit + ligand.num, ligand.num + receptor.num)
    part = _parts(ends, shares, [slice(0, ligand.num), slice(ligand.num, None)])
    return part[: ligand.num], part[ligand.num :]


def cold_parts_of_one(one: Side, other: Side, shares: Sequence[float]) -> NDArray[np.int64]:
    """[one.num]: the part of each unit, where both ends of a pair are units of one set; `other.num` is the same."""
    return _parts(_Ends(one.unit, other.unit, one.num), shares, [slice(None)])


class _Ends(NamedTuple):
    """The two units of each pair, among `num` of all sides."""

    one: NDArray[np.int64]
    other: NDArray[np.int64]
    num: int


def _parts(ends: _Ends, shares: Sequence[float], sides: Sequence[slice]) -> NDArray[np.int64]:
    links = coo_array((np.ones(len(ends.one)), (ends.one, ends.other)), shape=(ends.num, ends.num)).tocsr()
    inside = links.diagonal()  # pairs within a unit go where it goes
    links = links + links.T  # rows: pairs of each unit with each other unit
    links.setdiag(0)
    links.eliminate_zeros()
    _, group = connected_components(links, directed=False)
    part = _first_parts(ends, group.astype(np.int64), shares, sides)
    _improve(part, links, inside, np.array(shares) * len(ends.one))
    return part


def _first_parts(
    ends: _Ends, group: NDArray[np.int64], shares: Sequence[float], sides: Sequence[slice]
) -> NDArray[np.int64]:
    """Whole groups as units of their own; the largest ones are cut, as few as it takes for no part to be too small."""
    of_pair = group[ends.one]
    size = np.bincount(of_pair, minlength=group.max() + 1)  # groups are numbered by their first ligands
    largest = np.argsort(-size, kind="stable")
    largest = largest[size[largest] > min(shares) * len(of_pair)]
    part = assign_parts(size, shares)[group]
    for num_cut in range(1, len(largest) + 1):
        kept = np.bincount(part[ends.one][part[ends.one] == part[ends.other]], minlength=len(shares))
        if (kept >= _NEAR * np.array(shares) * kept.sum()).all():
            break
        cut = np.isin(np.arange(len(size)), largest[:num_cut])
        part = assign_parts(np.where(cut, 0, size), shares)[group]
        _cut(part, cut[of_pair], ends, shares, sides)
    return part


def _cut(
    part: NDArray[np.int64], pairs: NDArray[np.bool_], ends: _Ends, shares: Sequence[float], sides: Sequence[slice]
) -> None:
    """Deal the units of these pairs, those of each side independently; changes `part`."""
    roots = np.sqrt(shares).tolist()  # a share of both ends gives its square in pairs
    count = np.bincount(np.concatenate([ends.one[pairs], ends.other[pairs]]), minlength=ends.num)
    for side in sides:
        own = count[side]
        part[side] = np.where(own > 0, assign_parts(own, roots), part[side])


def _improve(
    part: NDArray[np.int64], links: csr_array, inside: NDArray[np.float64], target: NDArray[np.float64]
) -> None:
    """Let each unit in turn move to the part where it adds most, until next to none moves; changes `part`.

    What grows is the fairness of Mo and Walrand (2000), the sum of target * -(kept / target)^-8 over the parts: it sees
    first to the part that lacks most. Plain lists, because most units have few pairs.
    """
    begin, linked, pairs = links.indptr.tolist(), links.indices.tolist(), links.data.tolist()
    parts, wanted, within = part.tolist(), target.tolist(), inside.tolist()
    kept = _kept(part, links, inside, len(wanted)).tolist()
    for _ in range(_MAX_ROUNDS):
        moved = 0
        for unit in range(len(parts)):
            adds: dict[int, float] = {}
            for i in range(begin[unit], begin[unit + 1]):
                there = parts[linked[i]]
                adds[there] = adds.get(there, 0.0) + pairs[i]
            old = parts[unit]
            if within[unit]:
                adds = {p: n + within[unit] for p, n in ({old: 0.0} | adds).items()}
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


def _kept(
    part: NDArray[np.int64], links: csr_array, inside: NDArray[np.float64], num_parts: int
) -> NDArray[np.float64]:
    """Pairs within each part, and one more, so that no part is empty; every pair of two units is in `links` twice."""
    rows = np.repeat(np.arange(len(part)), np.diff(links.indptr))
    same = part[rows] == part[links.indices]
    between = np.bincount(part[rows[same]], weights=links.data[same], minlength=num_parts) / 2
    return 1 + between + np.bincount(part, weights=inside, minlength=num_parts)
