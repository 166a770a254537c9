"""How many operations training needs for sequences and pairs of any lengths: counted at a few, exact at all.

What a network computes of a sequence alone is a sum of powers of its length, up to the second, and of its length at
each scale of `changeformer`. What it computes of a pair is a sum of both lengths and their product. So a few passes of
short sequences say all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import nn

from hpc.machine.operations import counted
from snw_dist.arrays import FloatArray, IntArray
from snw_dist.model.changeformer import NUM_STAGES
from snw_dist.model.pair import PairModel, Parts, Side

_LENGTHS = (4, 5, 6, 7, 9, 10, 12)
"""As many as a side has terms, and the terms are independent at them."""
_BOTH = [(left, right) for left in (4, 12) for right in (4, 12)]
"""Likewise for the terms of a pair."""


@dataclass(frozen=True)
class Operations:
    """Of forward and backward pass together, those of `counted`, without the loss and without padding."""

    ligand: FloatArray
    """[terms of a side]"""
    receptor: FloatArray
    """[terms of a side]"""
    pair: FloatArray
    """[terms of a pair]"""

    def __call__(self, ligands: IntArray, receptors: IntArray, left: IntArray, right: IntArray) -> float:
        """Of sequences that go through the network once each, and of pairs of them.

        `ligands`, `receptors`: [num_distinct] lengths of the sequences.
        `left`, `right`: [num_pairs] lengths of the ligand and of the receptor of each pair.
        """
        of_sides = _side_terms(ligands).sum(axis=0) @ self.ligand + _side_terms(receptors).sum(axis=0) @ self.receptor
        return float(of_sides + _pair_terms(left, right).sum(axis=0) @ self.pair)


def operations_of(network: nn.Module, row_width: int, encoder: Callable[[int], int] | None = None) -> Operations:
    """Count those of a `PairModel` on the CPU, on rows of `row_width` numbers.

    `encoder`: how many an encoder that is trained with it needs for a sequence of a length; its rows have a gradient.

    The network is left as it was, and no random number is drawn: training goes on as if nobody had counted.
    """
    training, model = network.training, cast(PairModel, network)
    network.eval()  # dropout would draw numbers, and has no operation that counts
    passes = _Passes(network, row_width, encoder)
    ligands, receptors = (
        {length: passes.of_side(run, length) for length in _LENGTHS} for run in (model.ligands, model.receptors)
    )
    pairs = [passes.of_pair(ligands[left].parts, receptors[right].parts) for left, right in _BOTH]
    network.train(training)
    of_side, (left, right) = _side_terms(np.array(_LENGTHS)), np.array(_BOTH).T
    return Operations(
        _solved(of_side, [found.count for found in ligands.values()]),
        _solved(of_side, [found.count for found in receptors.values()]),
        _solved(_pair_terms(left, right), pairs),
    )


@dataclass(frozen=True)
class _Pass:
    count: int
    parts: Parts


@dataclass(frozen=True)
class _Passes:
    """Of one sequence, or of one pair, forward and backward."""

    network: nn.Module
    row_width: int
    encoder: Callable[[int], int] | None

    def of_side(self, run: Callable[[Side], Parts], length: int) -> _Pass:
        """What concerns a sequence alone; `run` is `PairModel.ligands` or `PairModel.receptors`."""
        states = torch.zeros(1, length, self.row_width, requires_grad=self.encoder is not None)
        side = Side(states, torch.ones(1, length, dtype=torch.bool), torch.zeros(1, dtype=torch.int64), (length,))
        found = self._counted(lambda: run(side), (states,))
        return found if self.encoder is None else _Pass(found.count + self.encoder(length), found.parts)

    def of_pair(self, ligand: Parts, receptor: Parts) -> int:
        """Their comparison alone."""
        left, right = (
            tuple(part.detach().requires_grad_(part.is_floating_point()) for part in side)
            for side in (ligand, receptor)
        )
        first, model = torch.zeros(1, dtype=torch.int64), cast(PairModel, self.network)
        return self._counted(lambda: (model.pairs(left, first, right, first).score,), left + right).count

    def _counted(self, run: Callable[[], Parts], inputs: Parts) -> _Pass:
        wanted = [item for item in (*self.network.parameters(), *inputs) if item.requires_grad]
        with torch.enable_grad(), counted() as counter:
            parts = run()
            outputs = [part for part in parts if part.requires_grad]
            torch.autograd.grad(outputs, wanted, [torch.ones_like(part) for part in outputs], allow_unused=True)
        return _Pass(counter.total, parts)


def _solved(terms: FloatArray, counts: list[int]) -> FloatArray:
    """What each term counts for, [terms], by the counts of as many cases, [cases, terms]."""
    return np.linalg.solve(terms, np.array(counts)).astype(np.float64)


def _side_terms(lengths: IntArray) -> FloatArray:
    """[n] -> [n, terms of a side]."""
    scales = [-(-lengths // 2**number) for number in range(NUM_STAGES)]
    return np.stack([np.ones_like(lengths), *scales, *(one * one for one in scales)], axis=1).astype(np.float64)


def _pair_terms(left: IntArray, right: IntArray) -> FloatArray:
    """[n] twice -> [n, terms of a pair]."""
    return np.stack([np.ones_like(left), left, right, left * right], axis=1).astype(np.float64)
