"""Which pairs are scored together, so that the rows of their sequences fit the memory: pure arithmetic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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


def numbered(ligands: Sequence[str], receptors: Sequence[str], symmetric: bool) -> tuple[list[str], IntArray, IntArray]:
    """The distinct sequences, and [pairs] numbers of each pair's two; where the sides mean nothing, in one order."""
    sequences = list(dict.fromkeys([*ligands, *receptors]))
    number = {one: place for place, one in enumerate(sequences)}
    left, right = (np.array([number[one] for one in side], dtype=np.int64) for side in (ligands, receptors))
    if symmetric:
        order = np.argsort(np.argsort(np.array(sequences, dtype=object)))
        turned = order[left] > order[right] if len(left) else np.zeros(0, dtype=bool)
        left, right = np.where(turned, right, left), np.where(turned, left, right)
    return sequences, left, right


def _residues(numbers: IntArray, lengths: IntArray) -> int:
    return int(lengths[np.unique(numbers)].sum())
