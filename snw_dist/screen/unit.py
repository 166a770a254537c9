"""One unit of work of a screen: the best of a part of what is ranked, for each owner of a list in a group."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hpc.errors import CorruptError
from snw_dist.screen.array_file import read_arrays, write_arrays
from snw_dist.screen.library import Kind
from snw_dist.screen.plan import Grid, cut_rows
from snw_dist.screen.product.best import best_of
from snw_dist.screen.product.merge import Best, merged
from snw_dist.screen.vectors import VectorSet

AT_ONCE = 1 << 18
"""Vectors of what is ranked in memory; the more there are, the better the engine knows which pairs it may leave out."""


@dataclass(frozen=True)
class Scoring:
    """What every unit of a screen is computed from."""

    folder: Path
    """Of the lists that are made."""
    screen: str
    """Digest of the plan, which every file names."""
    grid: Grid
    ligands: VectorSet
    receptors: VectorSet
    by: Kind
    """Who has a list."""
    most: int
    """Entries of a list."""
    margin: float
    """Of the network."""
    device: torch.device

    @property
    def owners(self) -> VectorSet:
        """Each has a list."""
        return self.receptors if self.by == "receptor" else self.ligands

    @property
    def ranked(self) -> VectorSet:
        """These are in the lists."""
        return self.ligands if self.by == "receptor" else self.receptors


class ScoreUnits:
    """Parts with groups as units of work (`snw_dist.screen.work.Units`)."""

    kind, unit = "scores", "pairs"

    def __init__(self, scoring: Scoring) -> None:
        self._of = scoring

    def __len__(self) -> int:
        return len(self._of.grid)

    def size(self, number: int) -> int:
        """Pairs."""
        ranked, owners = self._ranges(number)
        return len(ranked) * len(owners)

    def has(self, number: int, verify: bool) -> bool:
        """Whether the list is there."""
        return has_lists(self._path(number), self._facts(number), verify)

    def do(self, number: int, checkpoint: Callable[[], None]) -> None:
        """Compare block after block, and keep the best."""
        of, (part, group) = self._of, self._of.grid.unit(number)
        right = of.owners.rows(of.grid.groups[group])
        blocks, starts = of.grid.parts[part], of.ranked.starts
        best: Best | None = None
        for piece in cut_rows(starts[blocks.start : blocks.stop + 1], AT_ONCE):
            checkpoint()
            found = best_of(of.ranked.rows(piece), right, of.most, of.margin, device=of.device).shifted(piece.start)
            best = found if best is None else merged([best, found], of.most)
        assert best is not None, "a part has a block"
        write_lists(self._path(number), best, self._facts(number))

    def read(self, part: int, group: int) -> Best:
        """The lists of a unit that is done; raises `CorruptError` where it is damaged."""
        number = self._of.grid.number(part, group)
        return read_lists(self._path(number), self._facts(number))

    def _ranges(self, number: int) -> tuple[range, range]:
        part, group = self._of.grid.unit(number)
        blocks, starts = self._of.grid.parts[part], self._of.ranked.starts
        return range(starts[blocks.start], starts[blocks.stop]), self._of.grid.groups[group]

    def _path(self, number: int) -> Path:
        """Named by what is in it, not by its number: the command may have been started again for other units."""
        ranked, owners = self._ranges(number)
        return self._of.folder / f"unit_{ranked.start}-{ranked.stop}_{owners.start}.safetensors"

    def _facts(self, number: int) -> dict[str, Any]:
        ranked, owners = self._ranges(number)
        return {
            "screen": self._of.screen,
            "ranked": [ranked.start, ranked.stop],
            "owners": [owners.start, owners.stop],
        }


class ListUnits:
    """The whole lists of a group of owners as units of work: the parts of the library merged, exactly."""

    kind, unit = "merge", "lists"

    def __init__(self, scoring: Scoring) -> None:
        self._of, self._scores = scoring, ScoreUnits(scoring)

    def __len__(self) -> int:
        return len(self._of.grid.groups)

    def size(self, number: int) -> int:
        """Lists."""
        return len(self._of.grid.groups[number])

    def has(self, number: int, verify: bool) -> bool:
        """Whether the lists are there."""
        return has_lists(self._path(number), self._facts(number), verify)

    def do(self, number: int, checkpoint: Callable[[], None]) -> None:
        """Merge the lists of all parts, one after another."""
        best = self._scores.read(0, number)
        for part in range(1, len(self._of.grid.parts)):
            checkpoint()
            best = merged([best, self._scores.read(part, number)], self._of.most)
        write_lists(self._path(number), best, self._facts(number))

    def read(self, number: int) -> Best:
        """The lists of a group; raises `CorruptError` where they are damaged."""
        return read_lists(self._path(number), self._facts(number))

    def _path(self, number: int) -> Path:
        return self._of.folder / f"lists_{number:06d}.safetensors"

    def _facts(self, number: int) -> dict[str, Any]:
        return {"screen": self._of.screen, "group": number}


def write_lists(path: Path, best: Best, facts: Mapping[str, Any]) -> None:
    """Publish lists."""
    write_arrays(path, {"score": best.score.cpu().numpy(), "index": best.index.cpu().numpy()}, facts)


def read_lists(path: Path, facts: Mapping[str, Any]) -> Best:
    """The lists in a file; raises `CorruptError` where they are not those of `facts`, or are damaged."""
    arrays = read_arrays(path, facts)
    return Best(torch.from_numpy(arrays["score"]), torch.from_numpy(arrays["index"]))


def has_lists(path: Path, facts: Mapping[str, Any], verify: bool) -> bool:
    """Whether lists are there; with `verify` every byte of them is looked at."""
    if not path.exists() or not verify:
        return path.exists()
    try:
        read_arrays(path, facts)
    except CorruptError:
        return False
    return True
