"""Scores on a CPU that depend on nothing but the pair: every product has the shape that the lengths of the pair say.

A product of another shape is added in another order, so what is computed beside a pair would change its last digits.
Each distinct sequence goes through the network with others of its own length, always equally many, and the pairs are
then compared with others of their two lengths, always equally many; what is missing is filled up by repeating the last.
The place within a pass changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

import numpy as np
import torch
from torch import nn

from snw_dist.arrays import IntArray
from snw_dist.embedding.row_reader import RowReader
from snw_dist.model.pair import PairModel, Parts, Side
from snw_dist.predict.one_thread import Each

TOGETHER = 32
"""Short sequences, or pairs of such, of a pass. 32 numbers are what torch computes at once, two registers of AVX-512: a
remainder at the end of a tensor would be computed by other instructions, and a row there would have other bits."""
SHORT = 64
"""Residues up to which a sequence is short. A longer one goes by itself: its product is large enough."""
SHORT_PAIR = 1 << 15
"""Ligand residues times receptor residues up to which a pair is short; attention has as many places."""


class Alike:
    """A network and where the rows of sequences are; sequences longer than `max_length` are cropped to their middle."""

    def __init__(self, model: nn.Module, reader: RowReader, max_length: int, each: Each) -> None:
        self._model = cast(PairModel, model)
        self._reader, self._max_length, self._each = reader, max_length, each

    def scores(self, ligand: IntArray, receptor: IntArray) -> torch.Tensor:
        """[pairs] float32; ligand, receptor: [pairs], numbers of sequences in the reader."""
        left, right = self.parts(self._model.ligands, ligand), self.parts(self._model.receptors, receptor)

        def compared(pairs: IntArray) -> torch.Tensor:
            ligands, receptors = _stacked(left, ligand[pairs]), _stacked(right, receptor[pairs])
            index = torch.arange(len(pairs))
            return self._model.pairs(ligands, index, receptors, index).score

        ligand_lengths, receptor_lengths = self._lengths(ligand), self._lengths(receptor)
        passes = []
        for group in _equal(np.stack([ligand_lengths, receptor_lengths])):
            area = int(ligand_lengths[group[0]] * receptor_lengths[group[0]])
            passes += list(_cut(group, TOGETHER if area <= SHORT_PAIR else 1))
        found = torch.empty(len(ligand))
        for pairs, score in zip(passes, self._each(compared, passes), strict=True):
            found[torch.from_numpy(pairs)] = score  # the repeated pair has the same score each time
        return found

    def parts(self, make: Callable[[Side], Parts], numbers: IntArray) -> dict[int, Parts]:
        """Number of a sequence -> what the network makes of it alone, by `make`, one of its methods for a side.

        numbers: [sequences] of the reader.
        """
        distinct = np.unique(numbers)
        lengths = self._lengths(distinct)
        passes = [
            distinct[places]
            for group in _equal(lengths[None])
            for places in _cut(group, TOGETHER if lengths[group[0]] <= SHORT else 1)
        ]
        made = self._each(make, [self._side(one) for one in passes])
        return {
            number: tuple(part[row] for part in parts)
            for pass_, parts in zip(passes, made, strict=True)
            for row, number in enumerate(pass_.tolist())
        }

    def _side(self, numbers: IntArray) -> Side:
        """Sequences of one length; [sequences], the last ones are the same one again where they were too few."""
        length, full = int(self._lengths(numbers[:1])[0]), self._reader.lengths[numbers]
        states = torch.empty(len(numbers), length, self._reader.row_width, dtype=self._reader.dtype)
        count = len(np.unique(numbers))
        starts = ((full - length) // 2).tolist()
        self._reader.read_batch(states[:count], numbers[:count].tolist(), starts[:count], [length] * count)
        states[count:] = states[count - 1]
        mask = torch.ones(states.shape[:2], dtype=torch.bool)
        return Side(states, mask, torch.arange(len(numbers)), (length,) * len(numbers))

    def _lengths(self, numbers: IntArray) -> IntArray:
        return np.minimum(self._reader.lengths[numbers], self._max_length)


def _equal(keys: IntArray) -> Iterator[IntArray]:
    """Places with equal columns; keys: [n, places]."""
    order = np.lexsort(keys)
    changes = np.flatnonzero((np.diff(keys[:, order]) != 0).any(axis=0)) + 1
    yield from np.split(order, changes)


def _cut(places: IntArray, size: int) -> Iterator[IntArray]:
    """`size` places at a time; the last is repeated where there are too few."""
    for start in range(0, len(places), size):
        part = places[start : start + size]
        yield np.concatenate([part, np.repeat(part[-1:], size - len(part))])


def _stacked(parts: dict[int, Parts], numbers: IntArray) -> Parts:
    return tuple(torch.stack(part) for part in zip(*(parts[one] for one in numbers.tolist()), strict=True))
