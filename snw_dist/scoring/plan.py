"""Which pairs are scored together, so that the rows of their sequences fit the memory: pure arithmetic."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from snw_dist.arrays import IntArray


def blocks(ligand: IntArray, receptor: IntArray, lengths: IntArray, most_residues: int) -> Iterator[IntArray]:
    """Numbers of the pairs of one block after another, whose distinct sequences have at most `most_residues`.

    ligand, receptor: [pairs], numbers of sequences whose residues are `lengths` [sequences]. A block has at least one
    pair. Pairs of one sequence of the side with more residues are neighbours: so each of these is needed once, and the
    sequences of the other side are few enough to be kept between blocks.
    """
    heavy, light = (
        (ligand, receptor) if _residues(ligand, lengths) >= _residues(receptor, lengths) else (receptor, ligand)
    )
    order = np.lexsort((light, heavy))
    if int(lengths[np.unique(np.concatenate([ligand, receptor]))].sum()) <= most_residues:
        yield order
        return
    first, seen, total = 0, set[int](), 0
    for place, (one, other) in enumerate(zip(heavy[order].tolist(), light[order].tolist(), strict=True)):
        new = {one, other} - seen
        size = sum(int(lengths[number]) for number in new)
        if place > first and total + size > most_residues:
            yield order[first:place]
            first, seen, total = place, set(), 0
            new = {one, other}
            size = sum(int(lengths[number]) for number in new)
        seen |= new
        total += size
    yield order[first:]


def _residues(numbers: IntArray, lengths: IntArray) -> int:
    return int(lengths[np.unique(numbers)].sum())
