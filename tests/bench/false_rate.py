"""How many hits are false, beside what was promised: `python -m tests.bench.false_rate [--run runs/demo] [--json]`.

First made scores, whose truth is known. Then the measured pairs of a run of the shipped data, as `make demo` leaves it:
its `test` pairs are divided by ligands, half are calibration pairs and half the library; and the pairs of receptors
that the network has never seen, with calibration pairs of known receptors.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import pandas as pd

from snw_dist.arrays import BoolArray, FloatArray, IntArray
from snw_dist.screen.errors.conformal import Negatives, exact_rate
from tests.bench.common import finish, show
from tests.kit.false_rate import (
    EXCHANGEABLE,
    NUM_DRAWS,
    RATES,
    RELATIVES,
    SHIFTED,
    Realised,
    chosen,
    outcome,
    simulated,
)

Keys = dict[str, dict[str, list[float]]]
"""Pairs -> rate -> the realised rate, and half of its 95 % interval."""
SEEN, UNSEEN = "test", "test_unseen_receptor"
DIVISIONS = 1000
"""Of the measured pairs: one alone says little of so few."""


_WAYS = ["promised", "ours: negatives alone", "all calibration pairs"]


class Table(NamedTuple):
    """What is shown."""

    title: str
    columns: list[str]
    rows: list[list[str]]


class Screen(NamedTuple):
    """Scores that decide, and a library."""

    negatives: FloatArray
    num_positives: int
    """Calibration pairs that bind."""
    scores: FloatArray
    """[library]"""
    binds: BoolArray
    """[library]"""


class Pairs(NamedTuple):
    """Measured pairs; every array is [pairs]."""

    score: FloatArray
    binds: BoolArray
    ligand: IntArray
    receptor: IntArray

    @classmethod
    def of(cls, table: pd.DataFrame) -> Self:
        """Of the predictions of one split."""
        sides = [pd.factorize(table[f"{side}_id"])[0].astype(np.int64) for side in ("ligand", "receptor")]
        return cls(table["score"].to_numpy(np.float64), table["positive"].to_numpy(bool), *sides)

    def screen(self, decides: BoolArray, library: Pairs, among: BoolArray) -> Screen:
        """These pairs decide about those of a library."""
        negatives = self.score[decides & ~self.binds]
        return Screen(negatives, int((decides & self.binds).sum()), library.score[among], library.binds[among])

    def divided(self, by: IntArray, draws: int) -> Iterator[BoolArray]:
        """`draws` times, which pairs decide: those of half of the ligands, or receptors, at random."""
        random, num = np.random.default_rng(1), int(by.max()) + 1
        for _ in range(draws):
            yield np.isin(by, random.choice(num, num // 2, replace=False))

    def halves(self, by: IntArray, draws: int, binders: float = 1.0) -> Iterator[Screen]:
        """One half decides about the other, in which the share `binders` of the binders is left."""
        random = np.random.default_rng(2)
        for decides in self.divided(by, draws):
            kept = ~self.binds | (random.random(len(self.binds)) < binders)
            yield self.screen(decides, self, ~decides & kept)


def hits_of(screen: Screen, rate: float, all_pairs: bool = False) -> BoolArray:
    """[library], which pairs are kept."""
    positives = screen.num_positives if all_pairs else 0
    return chosen(screen.scores, screen.negatives, rate, positives).hits(screen.scores)


def realised(screens: Sequence[Screen], rate: float, all_pairs: bool = False) -> Realised:
    """What became of these screens."""
    outcomes = [outcome(hits_of(screen, rate, all_pairs), screen.binds) for screen in screens]
    return Realised(*np.array(outcomes).T)


def by_receptor(pairs: Pairs, rate: float, draws: int) -> FloatArray:
    """The share of false ones among the hits of each receptor, over `draws` divisions, where it has one hit in each."""
    counts = np.zeros((2, int(pairs.receptor.max()) + 1))
    for decides in pairs.divided(pairs.ligand, draws):
        hits = hits_of(pairs.screen(decides, pairs, ~decides), rate)
        of, binds = pairs.receptor[~decides][hits], pairs.binds[~decides][hits]
        for number, kept in enumerate((of, of[~binds])):
            counts[number] += np.bincount(kept, minlength=counts.shape[1])
    return np.asarray((counts[1] / counts[0].clip(1))[counts[0] >= draws])


def one_by_all_others(pairs: Pairs) -> Iterator[Screen]:
    """Each receptor is the library once."""
    for receptor in range(int(pairs.receptor.max()) + 1):
        yield pairs.screen(pairs.receptor != receptor, pairs, pairs.receptor == receptor)


def far_out(calibration: Pairs, library: Pairs, p_value: float) -> tuple[float, float]:
    """Of the negatives and of the binders of the library, the shares with at most this p-value."""
    of_calibration = Negatives.of(calibration.score[~calibration.binds], exact_rate(p_value))
    far = of_calibration.p_values(library.score) <= p_value
    return float(far[~library.binds].mean()), float(far[library.binds].mean())


def said(found: Realised) -> str:
    """The realised rate with its interval, and how many binders are found."""
    return f"{found.mean:.3f} ± {found.half:.3f} ({found.found.mean():.0%})"


def made_scores(keys: Keys) -> Iterator[Table]:
    """Every setting of made scores at every rate."""
    rows = []
    for setting, rate in itertools.product((*EXCHANGEABLE, *RELATIVES, SHIFTED), RATES):
        ours, other = (simulated(setting, rate, all_pairs=way) for way in (False, True))
        rows.append([setting.name, f"{rate}", said(ours), said(other)])
        keys.setdefault(f"made: {setting.name}", {})[f"{rate}"] = [ours.mean, ours.half]
    yield Table(f"Made scores, {NUM_DRAWS} draws: share of false hits (binders found)", ["setting", *_WAYS], rows)


def shipped(file: Path, keys: Keys) -> Iterator[Table]:
    """The measured pairs of a run."""
    table = pd.read_parquet(file)
    seen, unseen = (Pairs.of(table[table["split"] == name]) for name in (SEEN, UNSEEN))
    everything = np.ones_like(unseen.binds)
    halves = seen.divided(seen.ligand, DIVISIONS)
    screens = {
        f"{SEEN}, divided by ligands": [*seen.halves(seen.ligand, DIVISIONS)],
        "the same, a tenth of the binders": [*seen.halves(seen.ligand, DIVISIONS, 0.1)],
        f"{SEEN}, each receptor by all others": [*one_by_all_others(seen)],
        f"{UNSEEN}, by half of {SEEN}": [seen.screen(half, unseen, everything) for half in halves],
        f"{UNSEEN}, divided by receptors": [*unseen.halves(unseen.receptor, DIVISIONS)],
    }
    rows = []
    for (name, made), rate in itertools.product(screens.items(), RATES):
        ours, other = (realised(made, rate, all_pairs=way) for way in (False, True))
        rows.append([name, f"{rate}", said(ours), said(other)])
        keys.setdefault(name, {})[f"{rate}"] = [ours.mean, ours.half]
    yield Table(f"{file}, {DIVISIONS:,} divisions: share of false hits (binders found)", ["pairs", *_WAYS], rows)
    ranges = [(f"{rate}", by_receptor(seen, rate, DIVISIONS)) for rate in RATES]
    text = [[rate, str(len(own)), f"{own.min(initial=1):.3f}", f"{own.max(initial=0):.3f}"] for rate, own in ranges]
    title = f"{SEEN}, divided by ligands: share of false hits of each receptor of the list"
    yield Table(title, ["promised of the list", "receptors", "least", "most"], text)
    far = [[f"{rate}", *(f"{share:.3f}" for share in far_out(seen, unseen, rate))] for rate in RATES]
    yield Table(f"{UNSEEN}, by {SEEN}: share with at most this p-value", ["p-value", "negatives", "binders"], far)


def main() -> None:
    """Print the tables, and the figures."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    options.add_argument("--run", type=Path, default=Path("runs/demo"), help="a measured run of the shipped data")
    given = options.parse_args()
    file = given.run / "evaluation" / "predictions.parquet"
    if not file.exists():
        sys.exit(f"{file}: no measured run. Make it: make demo, or name another: --run FOLDER")
    keys: Keys = {}
    for table in itertools.chain(made_scores(keys), shipped(file, keys)):
        if not given.json:
            show(*table)
    finish(given.json, keys)


if __name__ == "__main__":
    main()
