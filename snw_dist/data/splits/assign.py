"""Dealing units (sequences, clusters, pairs) to parts of given sizes, at random but repeatably."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_MAX_MOVES = 1000


def shuffled(names: Sequence[str], seed: int) -> NDArray[np.int64]:
    """[num_names]: the place of each name in the order of SHA-256(seed, name).

    Neither their order nor other names matter.
    """
    keys = [hashlib.sha256(f"{seed}:{name}".encode()).digest() for name in names]
    order = sorted(range(len(names)), key=keys.__getitem__)
    return np.argsort(np.array(order, np.int64))


def assign_parts(size: NDArray[np.int64], shares: Sequence[float]) -> NDArray[np.int64]:
    """The part `[unit]` of each unit so that part p gets nearly `shares[p]` of the total `size[unit]`.

    The units are in random order (`shuffled`). Those of more than half the smallest part go, largest first, where most
    room is left. The others are laid on a line, and each goes to the part in whose room its middle falls; then units
    move or are swapped between the fullest part and the emptiest while that brings both nearer to their shares. No
    part stays empty where there are enough units (of size above 0).
    """
    target = np.array(shares) / sum(shares) * size.sum()
    part = np.zeros(len(size), np.int64)
    large = size > target.min() / 2
    room = target.copy()
    for unit in sorted(np.flatnonzero(large).tolist(), key=lambda unit: -size[unit]):
        part[unit] = room.argmax()
        room[part[unit]] -= size[unit]
    small = np.flatnonzero(~large)
    room = np.cumsum(room.clip(min=0))
    middle = (np.cumsum(size[small]) - size[small] / 2) * (room[-1] / max(size[small].sum(), 1))
    part[small] = np.minimum(np.searchsorted(room, middle, side="right"), len(shares) - 1)
    used = np.flatnonzero(size)
    _fill_empty(part, size, used, len(shares))
    _even_out(part, size, used, target)
    return part


def _fill_empty(part: NDArray[np.int64], size: NDArray[np.int64], used: NDArray[np.int64], num_parts: int) -> None:
    """Give an empty part the smallest unit of the part with most units."""
    for empty in range(num_parts):
        count = np.bincount(part[used], minlength=num_parts)
        if count[empty] == 0 and count.max() > 1:
            donors = used[part[used] == count.argmax()]
            part[donors[size[donors].argmin()]] = empty


def _even_out(
    part: NDArray[np.int64], size: NDArray[np.int64], used: NDArray[np.int64], target: NDArray[np.float64]
) -> None:
    """Move units from the fullest to the emptiest part, or swap two, as long as that makes them more even."""
    for _ in range(_MAX_MOVES):
        excess = np.bincount(part[used], weights=size[used], minlength=len(target)) - target
        fullest, emptiest = int(excess.argmax()), int(excess.argmin())
        gives, takes = used[part[used] == fullest], used[part[used] == emptiest]
        gap = excess[fullest] - excess[emptiest]
        given, taken = _best_swap(size[gives], size[takes], gap, may_move=len(gives) > 1)
        if given < 0:
            return
        part[gives[given]] = emptiest
        if taken >= 0:
            part[takes[taken]] = fullest


def _best_swap(gives: NDArray[np.int64], takes: NDArray[np.int64], gap: float, *, may_move: bool) -> tuple[int, int]:
    """Whom to give, and whom to take for it, so that their sizes differ by nearly half the gap; -1 for nobody."""
    order = np.argsort(takes, kind="stable")
    sizes = takes[order]
    if may_move:  # a move is a swap with nobody
        order, sizes = np.concatenate([[-1], order]), np.concatenate([[0], sizes])
    best, choice = gap / 2, (-1, -1)
    at = np.searchsorted(sizes, gives - gap / 2)
    for near in (at - 1, at) if len(sizes) else ():
        inside = (near >= 0) & (near < len(sizes))
        near = near.clip(0, len(sizes) - 1)
        miss = np.where(inside, np.abs(gives - sizes[near] - gap / 2), np.inf)
        given = int(miss.argmin())
        if miss[given] < best:
            best, choice = float(miss[given]), (given, int(order[near[given]]))
    return choice
