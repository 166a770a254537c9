"""Percentiles: which share of a background of peptides of equal length scores better with the same receptor.

Raw scores of different receptors cannot be compared: one receptor gives all peptides higher scores than another.
NetMHCpan calls a peptide a strong binder below 0.5 %, and a weak one below 2 % (Reynisson et al., Nucleic Acids
Research 2020, 48:W449).
"""

from __future__ import annotations

import json
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch

from hpc.errors import InputError
from snw_dist.arrays import FloatArray
from snw_dist.bundle.read import Bundle
from snw_dist.scoring.background import Background, drawn_background, proteome_background
from snw_dist.scoring.score_cache import ScoreCache, cache_folder
from snw_dist.scoring.scores import Scores
from snw_dist.version import __version__

MOST_BACKGROUNDS = 10_000
"""Of one table: 100 million scores, which is hours, and 0.8 GB of the cache."""
_MEMORY_BYTES = 2**28
"""Of scores: 3,000 backgrounds of 80 KB. The others are read from the cache again."""
_TOGETHER = 64
"""Receptors for which a part of a background is embedded once, where all of it does not fit the memory."""
Group = tuple[str, int]
"""A receptor, and the residues of the ligands that it is scored with."""


class Scorer(Protocol):
    """What percentiles need of a `PairScorer`."""

    bundle: Bundle
    device: torch.device
    most_residues: int
    """Residues whose rows fit the memory."""

    def score_clean(self, ligands: Sequence[str], receptors: Sequence[str]) -> Scores:
        """Scores of two lists of equal length."""
        ...


class Needed(NamedTuple):
    """What has to be computed before a table has its percentiles; nothing of it is in the cache."""

    backgrounds: int
    pairs: int
    sequences: int
    """Distinct peptides, each embedded once."""
    residues: int
    """Of these peptides."""


class Wanted:
    """The backgrounds that the pairs of a table need."""

    def __init__(self) -> None:
        self.groups: set[Group] = set()
        self.rows = Counter[int]()
        """Residues of a ligand -> rows."""

    @classmethod
    def of(cls, ligands: Sequence[str], receptors: Sequence[str]) -> Wanted:
        """Those of two lists of equal length."""
        wanted = cls()
        for ligand, receptor in zip(ligands, receptors, strict=True):
            wanted.add(len(ligand), receptor)
        return wanted

    def add(self, residues: int, receptor: str, rows: int = 1) -> None:
        """Count rows with a receptor and ligands of so many residues; raises `InputError` for too many backgrounds."""
        self.rows[residues] += rows
        self.groups.add((receptor, residues))
        if len(self.groups) > MOST_BACKGROUNDS:
            raise InputError(
                f"percentiles: every receptor needs a background for every length of a ligand, and this table needs "
                f"more than {MOST_BACKGROUNDS:,}. Leave them out, or split the table by receptor."
            )


def percentile(scores: FloatArray, background: FloatArray) -> FloatArray:
    """[pairs] in percent: the share of the background that scores better; of what scores the same, half counts.

    scores: [pairs]; background: [peptides], ascending. With half of the equal ones a network that gives all pairs the
    same score says 50 %, and not that every pair is the best.
    """
    better = len(background) - np.searchsorted(background, scores, side="right")
    not_worse = len(background) - np.searchsorted(background, scores, side="left")
    share: FloatArray = 100.0 * (better + not_worse) / (2 * len(background))
    return share


class Percentiles:
    """Percentiles by one background; the scores of a background are computed once for each receptor, and kept."""

    def __init__(self, scorer: Scorer, background: Background, cache: ScoreCache) -> None:
        self.background = background
        self._scorer, self._cache = scorer, cache
        self._kept: OrderedDict[Group, FloatArray] = OrderedDict()
        self._peptides: tuple[int, list[str]] = (0, [])

    def needed(self, groups: Collection[Group]) -> Needed:
        """What `prepare` would compute for these groups."""
        missing = self._missing(groups)
        sizes = {length: len(self._peptides_of(length)) for length in missing}
        return Needed(
            sum(map(len, missing.values())),
            sum(sizes[length] * len(receptors) for length, receptors in missing.items()),
            sum(len(set(self._peptides_of(length))) for length in missing),
            sum(length * len(set(self._peptides_of(length))) for length in missing),
        )

    def prepare(self, groups: Collection[Group], done: Callable[[int], None] = lambda _: None) -> None:
        """Compute what these groups need and is not there yet; `done` is told how many pairs it has scored in all.

        A run that was killed goes on behind the last background that it has kept.
        """
        count = 0
        for length, receptors in self._missing(groups).items():
            peptides = self._peptides_of(length)
            at_once = max(1, self._scorer.most_residues // (2 * length))
            parts = [slice(first, first + at_once) for first in range(0, len(peptides), at_once)]
            step = 1 if len(parts) == 1 else _TOGETHER
            for start in range(0, len(receptors), step):
                together = receptors[start : start + step]
                scores = np.empty((len(together), len(peptides)))
                for row, part in ((row, part) for part in parts for row in range(len(together))):
                    scores[row, part] = self._score(peptides[part], together[row])
                    count += len(peptides[part])
                    done(count)
                for receptor, of_receptor in zip(together, scores, strict=True):
                    self._keep((receptor, length), np.sort(of_receptor))

    def of(self, ligands: Sequence[str], receptors: Sequence[str], scores: FloatArray) -> FloatArray:
        """[pairs] percentiles of scored pairs of cleaned sequences; NaN where there is no background of the length.

        What was not prepared is computed on the way.
        """
        places: dict[Group, list[int]] = {}
        for place, (ligand, receptor) in enumerate(zip(ligands, receptors, strict=True)):
            places.setdefault((receptor, len(ligand)), []).append(place)
        found = np.full(len(scores), np.nan)
        for group in sorted(places, key=_by_length):
            self.prepare([group])
            if group in self._kept:
                found[places[group]] = percentile(scores[places[group]], self._kept[group])
        return found

    def without(self, lengths: Collection[int]) -> list[int]:
        """Those of the lengths that have no background."""
        return sorted(length for length in lengths if not self._peptides_of(length))

    def _missing(self, groups: Collection[Group]) -> dict[int, list[str]]:
        """Length -> receptors without scores; in an order of their own, so that each peptide is embedded once."""
        missing: dict[int, list[str]] = {}
        for receptor, length in sorted(groups, key=_by_length):
            if self._find((receptor, length)) is None and self._peptides_of(length):
                missing.setdefault(length, []).append(receptor)
        return missing

    def _score(self, peptides: list[str], receptor: str) -> FloatArray:
        return self._scorer.score_clean(peptides, [receptor] * len(peptides)).score

    def _peptides_of(self, length: int) -> list[str]:
        if self._peptides[0] != length:
            self._peptides = length, self.background.peptides(length)
        return self._peptides[1]

    def _find(self, group: Group) -> FloatArray | None:
        if group in self._kept:
            self._kept.move_to_end(group)
            return self._kept[group]
        found = self._cache.get(self._key(group))
        if found is not None:
            self._remember(group, found)
        return found

    def _keep(self, group: Group, scores: FloatArray) -> None:
        self._cache.put(self._key(group), scores)
        self._remember(group, scores)

    def _remember(self, group: Group, scores: FloatArray) -> None:
        self._kept[group] = scores
        while len(self._kept) > max(1, _MEMORY_BYTES // scores.nbytes):
            self._kept.popitem(last=False)

    def _key(self, group: Group) -> str:
        """All that the scores depend on; another processor or version may give other last digits."""
        versions = [__version__, torch.__version__, self._scorer.device.type]
        return json.dumps([self._scorer.bundle.sha256, self.background.sha256, *group, *versions])


def _by_length(group: Group) -> tuple[int, str]:
    return group[1], group[0]


def background_of(bundle: Bundle, asked: bool | str | Path) -> Background | None:
    """The peptides that the bundle names, or windows of the proteins in a FASTA file, if asked for.

    Raises as `drawn_background` and `proteome_background`.
    """
    if asked is False:
        return None
    if asked is True:
        return drawn_background(bundle.says.background, str(bundle.folder))
    return proteome_background(Path(asked), bundle.says.background)


def percentiles_of(scorer: Scorer, asked: bool | str | Path) -> Percentiles | None:
    """Percentiles by a background, if asked for; raises as `background_of`."""
    background = background_of(scorer.bundle, asked)
    return None if background is None else Percentiles(scorer, background, ScoreCache(cache_folder()))
