"""The second stage: a better and slower network, or several, looks again at the best of each receptor."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpc.errors import CorruptError, InputError
from snw_dist.arrays import FloatArray, IntArray
from snw_dist.scoring.scorer import PairScorer
from snw_dist.scoring.scores import together
from snw_dist.screen.array_file import read_arrays, write_arrays
from snw_dist.screen.library import Kind, Library, StoredLibrary
from snw_dist.screen.ranked import Ranked, by_first, from_arrays, reordered, to_arrays
from snw_dist.screen.unit import ListUnits, Scoring

_PAIRS = 512
"""Scored before the job looks whether it is to stop."""


@dataclass(frozen=True)
class SecondStage:
    """What ranks the best of the first stage again."""

    scorer: PairScorer
    ligands: StoredLibrary
    receptors: StoredLibrary
    first_member: str
    most: int
    """Entries of a list at the end."""

    def scores(
        self, ligands: IntArray, receptor: int, checkpoint: Callable[[], None]
    ) -> tuple[FloatArray, dict[str, FloatArray]]:
        """[ligands] with one receptor, by their numbers: the scores, and those of each member."""
        sequences = self.ligands.sequences.take(ligands)
        [one] = self.receptors.sequences.take(np.array([receptor]))
        parts = []
        for start in range(0, len(sequences), _PAIRS):
            checkpoint()
            now = sequences[start : start + _PAIRS]
            parts.append(self.scorer.score_clean(now, [one] * len(now)).members)
        members = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return together(members, self.scorer.calibrations, self.scorer.bundle.says.mean).score, members


class RerankUnits:
    """One receptor each (`snw_dist.screen.work.Units`): its pairs share what is computed of it."""

    kind, unit = "rerank", "pairs"

    def __init__(self, scoring: Scoring, stage: SecondStage) -> None:
        self._of, self._stage = scoring, stage
        self._lists = functools.lru_cache(maxsize=1)(ListUnits(scoring).read)
        self._group_of = [group for group, numbers in enumerate(scoring.grid.groups) for _ in numbers]

    def __len__(self) -> int:
        return len(self._group_of)

    def size(self, number: int) -> int:
        """Pairs."""
        return min(self._of.most, len(self._of.ligands))

    def has(self, number: int, verify: bool) -> bool:
        """Whether the list is there."""
        if not self._path(number).exists() or not verify:
            return self._path(number).exists()
        try:
            read_arrays(self._path(number), self._facts(number))
        except CorruptError:
            return False
        return True

    def do(self, number: int, checkpoint: Callable[[], None]) -> None:
        """Score the best ligands of a receptor, and rank them anew."""
        stage, group = self._stage, self._group_of[number]
        first = by_first(self._lists(group), stage.first_member)
        first = first.row(number - self._of.grid.groups[group].start, first.ligand.shape[1])
        score, members = stage.scores(first.ligand[0], number, checkpoint)
        write_arrays(self._path(number), to_arrays(reordered(first, score, members, stage.most)), self._facts(number))

    def read(self, group: int) -> Ranked:
        """The lists of a group of receptors; raises `CorruptError` where one is damaged."""
        numbers = self._of.grid.groups[group]
        return from_arrays([read_arrays(self._path(number), self._facts(number)) for number in numbers])

    def _path(self, number: int) -> Path:
        return self._of.folder / "rerank" / f"receptor_{number:08d}.safetensors"

    def _facts(self, number: int) -> dict[str, Any]:
        return {"screen": self._of.screen, "receptor": number}


def check_second(scorer: PairScorer, libraries: dict[Kind, Library]) -> None:
    """Raise `InputError` where the second bundle does not take a sequence that the first one takes."""
    rules, name = scorer.rules, scorer.bundle.says.name
    most = min(rules.max_length, scorer.longest or rules.max_length)
    for library in libraries.values():
        for sequence in library.sequences:
            if not rules.min_length <= len(sequence) <= most:
                raise InputError(
                    f"--rerank {name}: takes {rules.min_length:,} to {most:,} residues, and {sequence[:20]}... has "
                    f"{len(sequence):,}. Leave it out of the library."
                )
            if rules.non_standard == "reject" and "X" in sequence:
                raise InputError(
                    f"--rerank {name}: takes no X, which is in {sequence[:20]}... Leave it out of the library."
                )
