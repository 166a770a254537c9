"""How a hit compares with natural peptides: their scores with every receptor, by the towers of the screen.

The peptides are those of `predict --percentile`, and so are the percentiles. Each goes through its tower once for all
receptors, and its vectors are kept as those of a library are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hpc.amounts import count_of
from hpc.errors import CorruptError, InputError
from hpc.told import tell
from snw_dist.arrays import FloatArray, IntArray
from snw_dist.predict.one_thread import passes_side_by_side
from snw_dist.scoring.background import Background
from snw_dist.scoring.percentile import percentile
from snw_dist.screen.array_file import mapped, read_arrays, write_arrays
from snw_dist.screen.library import Library
from snw_dist.screen.plan import GROUP, cut
from snw_dist.screen.plan_file import Compared
from snw_dist.screen.towers import Towers
from snw_dist.screen.vectors import VectorSet

FOLDER = "background"
MOST_BACKGROUNDS = 1 << 18
"""Of a receptor and a length each: 40 KB, so 10 GB."""
_AT_ONCE = 64


Peptides = Mapping[int, Sequence[str]]
"""Residues -> peptides of that length."""


def compared_with(background: Background, library: Library, num_receptors: int) -> tuple[Compared, Peptides]:
    """What the ligands of a library are compared with; says what that costs, and which ligands have nothing.

    Raises `InputError` where all scores would be too many.
    """
    lengths, counts = np.unique(library.lengths, return_counts=True)
    every = {int(length): background.peptides(int(length)) for length in lengths}
    peptides = {length: found for length, found in every.items() if found}
    num, without = len(peptides) * num_receptors, counts[[not every[int(length)] for length in lengths]].sum()
    if num > MOST_BACKGROUNDS:
        raise InputError(
            f"--percentile: {count_of(num_receptors, 'receptor')} with ligands of {count_of(len(peptides), 'length')} "
            f"need {num:,} backgrounds, and more than {MOST_BACKGROUNDS:,} are not made. Leave it out, or screen fewer "
            "receptors at once."
        )
    pairs = sum(map(len, peptides.values())) * num_receptors
    tell(
        f"percentiles: {background.what}, of {count_of(len(peptides), 'length')}; {count_of(pairs, 'pair')} more to "
        "score, beside those below"
    )
    if without:
        tell(f"{count_of(without, 'ligand')} without a percentile: {background.why_none}.")
    return Compared(background.what, background.sha256, [*peptides]), peptides


def texts_file(work: Path, length: int) -> Path:
    """The peptides of a length, as `Texts`."""
    return work / FOLDER / f"{length}.arrow"


class BackgroundUnits:
    """The scores of the peptides of a length with some receptors, each a unit (`snw_dist.screen.work.Units`)."""

    kind, unit = "background", "pairs"

    def __init__(
        self, folder: Path, screen: str, peptides: Mapping[int, VectorSet], receptors: VectorSet, towers: Towers
    ) -> None:
        """`folder`: of the scores; `screen`: the digest of the plan."""
        self._folder, self._screen, self._peptides = folder, screen, peptides
        self._receptors, self._towers = receptors, towers
        self._units = [(length, group) for length in peptides for group in cut(len(receptors), GROUP)]

    def __len__(self) -> int:
        return len(self._units)

    def size(self, number: int) -> int:
        """Pairs."""
        length, group = self._units[number]
        return len(self._peptides[length]) * len(group)

    def has(self, number: int, verify: bool) -> bool:
        """Whether the scores are there; with `verify` every byte of them is looked at."""
        path = self._path(*self._units[number])
        if not path.exists() or not verify:
            return path.exists()
        try:
            read_arrays(path, self._facts(*self._units[number]))
        except CorruptError:
            return False
        return True

    def do(self, number: int, checkpoint: Callable[[], None]) -> None:
        """Score all peptides with each receptor, and sort the scores."""
        length, group = self._units[number]
        peptides, receptors = self._peptides[length], self._receptors.rows(group)
        vectors, scores = peptides.rows(range(len(peptides))), list[Any]()
        with passes_side_by_side() as each:
            for start in range(0, len(group), _AT_ONCE):
                checkpoint()
                some = receptors[start : start + _AT_ONCE]
                found = each(lambda one: self._towers.scores(vectors, one.expand_as(vectors)).sort().values, some)
                scores += [one.numpy() for one in found]
        write_arrays(self._path(length, group), {"score": np.stack(scores)}, self._facts(length, group))

    def percentiles(self, lengths: IntArray, receptor: IntArray, score: FloatArray) -> FloatArray:
        """[hits], as `scoring.percentile`; NaN where there are no peptides of the length.

        lengths: [hits] residues of the ligands; receptor: [hits] their numbers; score: [hits].
        """
        found = np.full(len(score), np.nan)
        order = np.lexsort((receptor, lengths))
        ends = np.flatnonzero(np.diff(lengths[order]) | np.diff(receptor[order])) + 1
        for here in np.split(order, ends) if len(order) else ():
            length, number = int(lengths[here[0]]), int(receptor[here[0]])
            if length in self._peptides:
                first = number // GROUP * GROUP
                group = range(first, min(first + GROUP, len(self._receptors)))
                scores = mapped(self._path(length, group), "score")[number - first]
                found[here] = percentile(score[here], scores.astype(np.float64))
        return found

    def _path(self, length: int, group: range) -> Path:
        return self._folder / FOLDER / f"{length}_{group.start:08d}.safetensors"

    def _facts(self, length: int, group: range) -> dict[str, Any]:
        return {"screen": self._screen, "length": length, "receptors": [group.start, group.stop]}
