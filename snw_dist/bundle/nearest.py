"""The training sequence that is closest to another sequence: how far a network has to reach for it.

The *identity* of two sequences is 1 - changes / length of the longer one, where changes are the fewest residues that
must be replaced, inserted or left out to make one from the other (Levenshtein 1966). It is 1 for equal sequences alone.
Of several that are equally close the first in alphabetical order counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

from hpc.machine.processors import usable_processors

_CELLS = 2**20
"""Comparisons at once: 8 MiB of identities."""
_MOST_KEPT = 2**18
"""Sequences whose closest one is remembered, some 50 MiB, beside those of one call."""
_Sequences = Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]


@dataclass(config=ConfigDict(extra="forbid"), frozen=True)
class TrainedOn:
    """The content of `trained_on.json`: the distinct sequences of the training pairs."""

    ligands: _Sequences
    receptors: _Sequences


class Nearest(NamedTuple):
    """The closest training sequence."""

    sequence: str
    identity: float
    """In [0, 1]."""


class Known:
    """The training sequences of one side. Each distinct sequence that is asked for is compared once."""

    def __init__(self, sequences: Sequence[str]) -> None:
        """`sequences`: in any order, at least one."""
        self.sequences = sorted(set(sequences))
        self._found = {one: Nearest(one, 1.0) for one in self.sequences}
        self.num_compared = 0
        """How often a sequence was compared with all of them."""

    def nearest(self, sequences: Sequence[str]) -> list[Nearest]:
        """The closest training sequence of each; the same whatever else is asked for."""
        missing = [one for one in dict.fromkeys(sequences) if one not in self._found]
        if missing:
            self._found |= dict(zip(missing, self._compared(missing), strict=True))
            self.num_compared += len(missing)
        found = [self._found[one] for one in sequences]
        if len(self._found) > _MOST_KEPT + len(self.sequences):
            kept = {one: Nearest(one, 1.0) for one in self.sequences}
            self._found = kept | dict(zip(sequences, found, strict=True))
        return found

    def _compared(self, sequences: list[str]) -> Iterator[Nearest]:
        size, workers = max(1, _CELLS // len(self.sequences)), usable_processors()
        for start in range(0, len(sequences), size):
            identities = cdist(
                sequences[start : start + size],
                self.sequences,
                scorer=Levenshtein.normalized_similarity,
                dtype=np.float64,
                workers=workers,
            )
            best = identities.argmax(axis=1)  # the first of several
            for row, place in enumerate(best.tolist()):
                yield Nearest(self.sequences[place], float(identities[row, place]))


def sides_of(trained: TrainedOn, symmetric: bool) -> tuple[Known, Known]:
    """What is known of ligands and of receptors; one set for both where the sides mean nothing."""
    if symmetric:
        both = Known([*trained.ligands, *trained.receptors])
        return both, both
    return Known(trained.ligands), Known(trained.receptors)
