"""What a screen costs, said before it begins: pairs, operations, bytes, and time by a trial of some seconds."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from hpc.amounts import count_of, duration
from hpc.disk.storage import stored_below
from hpc.errors import InputError
from hpc.machine.processors import usable_processors
from snw_dist.arrays import IntArray
from snw_dist.scoring.scorer import PairScorer
from snw_dist.scoring.table.product import MOST_PAIRS
from snw_dist.screen.library import Kind, Library, other
from snw_dist.screen.plan import grid_of, lists_together
from snw_dist.screen.product.best import best_of
from snw_dist.screen.recall import sample_size
from snw_dist.screen.towers import Towers

MOST_ROWS = MOST_PAIRS
"""Pairs that are written where neither --top, --threshold nor --false-rate says which."""
_TRIAL_S = 1.0
_ROW_BYTES = 500
"""Of a row of the result, in Parquet and CSV together, about."""
_ENTRY_BYTES = 12
"""Of an entry of a list."""
_SCORE_BYTES = 4
"""Of the score of a natural peptide."""
_BUSY = " This machine is busy with other work now, so the trial was slower than it would be alone."


@dataclass(frozen=True)
class Estimate:
    """What is to be done, and how fast this process does it."""

    pairs: int
    operations: int
    """Additions and multiplications of the products."""
    residues: int
    """Of the distinct sequences, which are all embedded, natural peptides included."""
    vector_bytes: int
    list_bytes: int
    """Removed at the end."""
    result_bytes: int
    residues_per_s: float
    pairs_per_s: float
    device: str

    @property
    def seconds(self) -> float:
        """Of one process like this one."""
        return self.residues / self.residues_per_s + self.pairs / self.pairs_per_s

    def lines(self) -> list[str]:
        """For people."""
        written = self.vector_bytes + self.list_bytes + self.result_bytes
        return [
            f"{count_of(self.pairs, 'pair')}, {self.operations:.2g} operations; {self.residues:,} residues to embed",
            f"about {written:,} bytes are written: vectors {self.vector_bytes:,}, lists on the way "
            f"{self.list_bytes:,}, result up to {self.result_bytes:,}",
            f"by a trial here ({self.device}, {self.residues_per_s:,.0f} residues and {self.pairs_per_s:,.0f} pairs a "
            f"second): about {duration(self.seconds)} for one such process, and a tenth of that for ten of them "
            f"(--array 10). Vectors that are there already are not made again.{_BUSY if is_busy() else ''}",
        ]

    def room(self, to: Path, vectors: Path, exact: bool) -> dict[Path, int]:
        """Folder -> bytes that are still to be written there; without `exact` the result may be much smaller, or empty.

        What is in a folder already counts as done, so that the same command can go on.
        """
        lists = self.list_bytes + (self.result_bytes if exact else 0)
        return {to: max(0, lists - stored_below(to)[0]), vectors: max(0, self.vector_bytes - stored_below(vectors)[0])}


def is_busy() -> bool:
    """Whether this machine has more to do than processors for it."""
    return os.getloadavg()[0] > usable_processors()


def most_entries(num_ranked: int, num_owners: int, top: int | None, limited: bool, by: Kind = "receptor") -> int:
    """Entries of a list; `limited`: scores decide which pairs are written; `by`: who has a list.

    Of ligands, which are many, they do not: one would not know before all is done how many there are.

    Raises `InputError` where more than `MOST_ROWS` pairs would be written without a word on which.
    """
    pairs = num_ranked * num_owners
    if top is not None:
        return min(top, num_ranked)
    if limited and by == "receptor":
        return min(num_ranked, max(1, MOST_ROWS // num_owners))
    if pairs > MOST_ROWS:
        ligands, receptors = (num_ranked, num_owners) if by == "receptor" else (num_owners, num_ranked)
        others = ", --threshold S or --false-rate Q" if by == "receptor" else ""
        raise InputError(
            f"{ligands:,} ligands with {receptors:,} receptors are {pairs:,} pairs, and more than {MOST_ROWS:,} are "
            f"not written. Give --top N for the best N of each {by}{others}."
        )
    return num_ranked


def estimate(
    towers: Towers,
    libraries: dict[Kind, Library],
    by: Kind,
    starts: Sequence[int],
    most: int,
    dtype: str,
    unit_pairs: int,
    peptides: Mapping[int, Sequence[str]],
) -> Estimate:
    """Sizes, and speeds that some sequences of each library and random vectors are tried with.

    peptides: by their residues; scored with every receptor.
    """
    ranked, owning = libraries[other(by)], libraries[by]
    num, owners = len(ranked.sequences), len(owning.sequences)
    speeds, size, residues = [], 0, {kind: int(one.lengths.sum()) for kind, one in libraries.items()}
    residues["ligand"] += sum(length * len(set(found)) for length, found in peptides.items())
    num_peptides = sum(map(len, peptides.values()))
    for kind, library in libraries.items():
        speed, size = _embedding_speed(towers, kind, library)
        speeds.append(residues[kind] / speed)
    grid = grid_of(starts, owners, unit_pairs, lists_together(by, most))
    rows = most * len(owning.ids) * max(1, round(len(ranked.ids) / num))
    return Estimate(
        pairs=num * owners,
        operations=2 * size * num * owners,
        residues=sum(residues.values()),
        vector_bytes=(num + owners + num_peptides) * size * torch.finfo(getattr(torch, dtype)).bits // 8,
        list_bytes=owners * most * _ENTRY_BYTES * (len(grid.parts) + 1)
        + num_peptides * len(libraries["receptor"].sequences) * _SCORE_BYTES,
        result_bytes=rows * _ROW_BYTES,
        residues_per_s=sum(residues.values()) / sum(speeds),
        pairs_per_s=_product_speed(size, num, owners, most, towers),
        device=towers.scorer.device.type,
    )


def second_stage_line(scorer: PairScorer, libraries: dict[Kind, Library], most: int) -> str:
    """What the second stage costs, by some pairs of the longest sequences."""
    ligands, receptors = (libraries[kind].sequences for kind in ("ligand", "receptor"))
    sample = sample_size(len(ligands), len(receptors), most) * len(receptors)
    pairs, tried, started = most * len(receptors), 0, time.perf_counter()
    while tried == 0 or time.perf_counter() - started < _TRIAL_S:
        now = ligands[-32:]
        scorer.score_clean(now, [receptors[-1]] * len(now))
        tried += len(now)
    rate = tried / (time.perf_counter() - started)
    return (
        f"second stage: {count_of(pairs, 'pair')}, and {count_of(sample, 'other')} to tell what the first stage has "
        f"missed; {rate:,.0f} pairs a second here: {duration((pairs + sample) / rate)} for one such process"
    )


def _embedding_speed(towers: Towers, kind: Kind, library: Library) -> tuple[float, int]:
    """Residues a second of some sequences from all over the library, and the size of a vector."""
    order = _spread(np.arange(len(library.sequences)))
    done, size, started, at_once = 0, 0, time.perf_counter(), 1
    while len(order):
        now, order = order[:at_once], order[at_once:]
        sequences = [library.sequences[place] for place in now.tolist()]
        size = towers.vectors(kind, sequences).shape[1]
        done += sum(map(len, sequences))
        at_once = min(4 * at_once, 256)
        if time.perf_counter() - started > _TRIAL_S:
            break
    return done / max(time.perf_counter() - started, 1e-9), size


def _spread(places: IntArray) -> IntArray:
    """The same numbers [n] in an order in which the first ones are from all over."""
    return np.random.default_rng(0).permutation(places)


def _product_speed(size: int, num_ligands: int, num_receptors: int, most: int, towers: Towers) -> float:
    """Pairs a second of random vectors."""
    generator = torch.Generator().manual_seed(0)
    left, right = min(num_ligands, 1 << 14), min(num_receptors, 256)
    one, other = (F.normalize(torch.randn(count, size, generator=generator), dim=1) for count in (left, right))
    rounds, started = 0, time.perf_counter()
    while rounds == 0 or time.perf_counter() - started < _TRIAL_S / 2:
        best_of(one, other, min(most, left), towers.margin, device=towers.scorer.device)
        rounds += 1
    return rounds * left * right / (time.perf_counter() - started)
