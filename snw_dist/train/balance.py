"""How the ranks share the pairs of a step: about the same work for each, pairs of one receptor together.

Pure functions: every rank computes the parts of all, so that nothing has to be agreed upon.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from snw_dist.arrays import FloatArray, IntArray


def equal_parts(
    receptor: IntArray, ligand_length: IntArray, receptor_length: IntArray, num_parts: int, most: int
) -> list[IntArray]:
    """Positions of a step's pairs, each once, in `num_parts` parts of at most `most` and of about as many residues.

    The arguments are [num_pairs] each. The residues of a receptor count once in a part, those of a ligand with every
    pair. Receptors are dealt out whole, the costliest first, each to the part that has least; then the line of all
    parts is cut anew where it is nearest to equal parts, inside of a receptor only if that is better although both
    parts then have to read it.
    """
    _, number = np.unique(receptor, return_inverse=True)
    members = np.split(np.argsort(number, kind="stable"), np.cumsum(np.bincount(number))[:-1])
    cost = np.asarray([receptor_length[own[0]] + ligand_length[own].sum() for own in members])
    load, parts = np.zeros(num_parts), [list[IntArray]() for _ in range(num_parts)]
    for which in np.argsort(-cost, kind="stable"):
        least = int(load.argmin())
        load[least] += cost[which]
        parts[least].append(members[which])
    line = np.concatenate([own for part in parts for own in part])
    first = np.diff(number[line], prepend=-1) != 0
    before = np.cumsum(np.concatenate([[0], ligand_length[line] + np.where(first, receptor_length[line], 0)]))
    twice = np.concatenate([np.where(first, 0, receptor_length[line]), [0]])
    cuts = [0]
    for part in range(1, num_parts):
        nearest = int((np.abs(before - before[-1] * part / num_parts) + twice).argmin())
        least = max(cuts[-1], len(line) - (num_parts - part) * most)
        cuts.append(min(max(nearest, least), cuts[-1] + most))
    return np.split(line, cuts[1:])


class MicroBatch(NamedTuple):
    """What one rank computes at once; both arrays are [num_own], the number of its pairs."""

    pairs: IntArray
    weight: NDArray[np.float32]
    """Of each pair in the weighted mean over the step."""
    num_rows: int
    """The most pairs that any rank has in this micro-batch."""


def rank_share(
    pairs: IntArray, importance: FloatArray, parts: list[IntArray], rank: int, world_size: int
) -> list[MicroBatch]:
    """This rank's micro-batches of a step, of which `parts` has one after the other those of all ranks.

    `pairs`: [num_pairs].
    `importance`: [num_pairs], what each pair counts, at least 0. The engine averages over ranks and micro-batches, so
    with the weight `len(parts) * importance / sum(importance)` the gradient is that of the weighted mean over all
    pairs, however unevenly they fall. A rank without a pair gets the first one with weight 0, because all ranks must
    take part.
    """
    total = importance.sum()
    weight = (importance * (len(parts) / total if total > 0 else 0.0)).astype(np.float32)
    share = []
    for first in range(0, len(parts), world_size):
        own = parts[first + rank]
        num_rows = max(1, *map(len, parts[first : first + world_size]))
        chosen = (pairs[own], weight[own]) if len(own) else (pairs[:1], np.zeros(1, np.float32))
        share.append(MicroBatch(*chosen, num_rows))
    return share
