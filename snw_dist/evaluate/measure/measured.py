"""From a table of pairs and one set of scores to its figures in every split and stratum, as plain data.

Nothing here depends on where scores come from: models and controls are measured alike, each with the threshold and
the calibration that the validation split gives it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from hpc.told import long_work
from snw_dist.arrays import FloatArray, IntArray
from snw_dist.evaluate.measure.calibration import choose_calibration
from snw_dist.evaluate.measure.held_out import STRATA, TRAIN, VAL
from snw_dist.metrics.bootstrap import Draws, gap_interval, interval, plan_draws, repeat_metrics
from snw_dist.metrics.metrics import (
    METRICS,
    Sample,
    checked,
    choose_threshold,
    ends_of,
    measure,
    probability_metrics,
)
from snw_dist.predict.calibration import Calibration

DECISIVE = ("auroc", "spearman")
"""What models are compared by: the first that is defined. Its bootstrap repeats are kept for paired differences."""


@dataclasses.dataclass(frozen=True)
class Part:
    """The pairs of one split, or of one stratum of it."""

    split: str
    stratum: str | None
    """None for the whole split."""
    only_stratum: str | None
    """The stratum that all pairs of a whole split are in, if there is one."""
    rows: IntArray
    """[rows]: row numbers in the table of pairs."""
    receptor: IntArray
    """[rows]: number of the receptor sequence within the part."""
    other_end: IntArray | None
    """[rows]: with `data.symmetric`, number of the other sequence, among those of either end."""
    draws: Draws


@dataclasses.dataclass(frozen=True)
class Measured:
    """One set of scores, measured."""

    threshold: float
    calibration: Calibration
    probability: FloatArray
    """[pairs]"""
    splits: dict[str, dict[str, Any]]
    """Split -> `metrics` (name -> value, low, high), `uncalibrated` (brier, ece), `strata` (name -> these two)."""
    repeats: dict[str, dict[str, FloatArray]]
    """Split -> metric of `DECISIVE` -> its value in each bootstrap repeat, [repeats]; equal draws for all sets."""

    def plain(self) -> dict[str, Any]:
        """What `metrics.json` says of it."""
        method = {"method": self.calibration.method, "temperature": self.calibration.temperature}
        return {"threshold": self.threshold, "calibration": method, "splits": self.splits}


def parts_of(pairs: pd.DataFrame, repeats: int, seed: int, symmetric: bool = False) -> list[Part]:
    """Each split, followed by those of its strata that are neither empty nor all of it.

    pairs: columns split, stratum and receptor (the sequence, which is what is drawn in the bootstrap), and ligand where
    the sides mean nothing (`symmetric`): then a sequence is drawn, and counted, whichever side it stands on.
    """
    parts = []
    split, stratum = pairs["split"].to_numpy(dtype=str), pairs["stratum"].to_numpy(dtype=str)
    for name in split_names(pairs["split"]):
        rows = np.flatnonzero(split == name)
        present = [s for s in STRATA if (stratum[rows] == s).any()]
        only = present[0] if len(present) == 1 else None
        inner = [] if only else [(s, rows[stratum[rows] == s]) for s in present]
        for key, chosen in [(None, rows), *inner]:
            receptor, other_end = numbered(pairs.iloc[chosen], symmetric)
            draws = plan_draws(receptor, repeats, seed, other_end)
            parts.append(Part(name, key, None if key else only, chosen, receptor, other_end, draws))
    return parts


def numbered(pairs: pd.DataFrame, symmetric: bool) -> tuple[IntArray, IntArray | None]:
    """[pairs]: numbers of the receptors from 0 on, and where the sides mean nothing, of the ligands among them."""
    columns = [pairs[side] for side in (("receptor", "ligand") if symmetric else ("receptor",))]
    number = pd.factorize(pd.concat(columns), sort=True)[0].astype(np.int64)
    return number[: len(pairs)], number[len(pairs) :] if symmetric else None


def split_names(splits: Iterable[Any]) -> list[str]:
    """The distinct names: train, val and test first, others in alphabetical order."""
    first = {TRAIN: 0, VAL: 1, "test": 2}
    return sorted({str(name) for name in splits}, key=lambda name: (first.get(name, 3), name))


def describe(pairs: pd.DataFrame, parts: Sequence[Part]) -> dict[str, dict[str, Any]]:
    """Split -> how many pairs, positives and receptors (or proteins of either side), what the bootstrap draws.

    `graded`: there are labels other than 0 and 1, so that rank correlation says more than AUROC. The same for each
    stratum.
    """
    positive, label = pairs["positive"].to_numpy(dtype=np.bool_), pairs["label"].to_numpy(dtype=np.float64)
    entries = []
    for part in parts:
        flags, draws = positive[part.rows], part.draws
        sums = np.stack([np.bincount(draws.of_pair, weights=chosen) for chosen in (flags, ~flags)])
        one_class = sum(int((sums @ counts == 0).any(axis=0).sum()) for counts in draws.chunks())
        entries.append(
            {
                "num_pairs": int(part.rows.size),
                "num_positive": int(flags.sum()),
                "num_receptors": int(ends_of(part.receptor, part.other_end)[1].max()) + 1,
                "graded": not bool(np.isin(label[part.rows], (0.0, 1.0)).all()),
                "bootstrap": {"unit": draws.unit, "num_units": draws.num_units, "repeats_of_one_class": one_class},
            }
        )
    return _nested(parts, entries)


def measure_scores(
    pairs: pd.DataFrame, parts: Sequence[Part], scores: FloatArray, seed: int, name: str = "scores"
) -> Measured:
    """Measure one set of scores, [pairs] float64; threshold and calibration come from the split `val` alone.

    `name` is what is told of it while that takes long. Raises `CorruptError` when scores are not finite.
    """
    positive, values = checked(pairs["positive"], scores)
    label = pairs["label"].to_numpy(dtype=np.float64)
    choosing = (pairs["split"] == VAL).to_numpy()
    threshold = choose_threshold(positive[choosing], values[choosing])
    calibration = choose_calibration(positive[choosing], values[choosing], seed)
    probability, plain = calibration(values), values.clip(0.0, 1.0)
    entries: list[dict[str, Any]] = []
    repeats: dict[str, dict[str, FloatArray]] = {}
    for part in parts:
        rows = part.rows
        columns = positive[rows], label[rows], values[rows], probability[rows]
        sample = Sample(*columns, part.receptor, threshold, part.other_end)
        what = f"{name}: figures of {part.stratum or 'all'} of {part.split}"
        with long_work(what, part.draws.repeats, "repeats"):
            point, drawn = measure(sample), repeat_metrics(sample, part.draws)
        entries.append(
            {
                "metrics": {name: _with_interval(name, point[name], drawn[name]) for name in METRICS},
                "uncalibrated": probability_metrics(positive[rows], plain[rows]),
            }
        )
        if part.stratum is None:
            repeats[part.split] = {name: drawn[name] for name in DECISIVE}
    return Measured(threshold, calibration, probability, _nested(parts, entries), repeats)


def _nested(parts: Sequence[Part], entries: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Split -> its entry, with those of its strata under `strata`."""
    found: dict[str, dict[str, Any]] = {}
    for part, entry in zip(parts, entries, strict=True):
        if part.stratum is None:
            found[part.split] = entry | {"strata": {part.only_stratum: entry} if part.only_stratum else {}}
        else:
            found[part.split]["strata"][part.stratum] = entry
    return found


def _with_interval(name: str, value: float, repeats: FloatArray) -> dict[str, float]:
    low, high = gap_interval(value, repeats) if name == "ece" else interval(repeats)
    return {"value": value, "low": low, "high": high}
