"""Several runs measured as one: the mean of their calibrated probabilities, with its own calibration and threshold.

As the ensembles of a comparison, but of any of its runs, from scores that are there. Runs of several folds are pooled:
each held-out pair counts with the mean of the runs of the fold that holds it out, so that none has learned from it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from hpc.errors import InputError
from snw_dist.evaluate.measure.band import calibration_band
from snw_dist.evaluate.measure.measured import measure_scores, parts_of
from snw_dist.evaluate.report import without_nan
from snw_dist.predict.calibration import CalibrationFields

_SAME = ["split", "ligand", "receptor", "positive"]


def measure_together(
    folds: Sequence[Sequence[pd.DataFrame]], repeats: int, seed: int, symmetric: bool
) -> dict[str, Any]:
    """`threshold`, `calibration` and `splits` of the mean, as plain data without NaN; see `pooled`."""
    pairs = pooled(folds)
    parts = parts_of(pairs, repeats, seed, symmetric)
    found = measure_scores(pairs, parts, pairs["score"].to_numpy(dtype=np.float64), seed, "the members together")
    calibration = dataclasses.asdict(found.calibration)
    plain: dict[str, Any] = without_nan(
        {"threshold": found.threshold, "calibration": calibration, "splits": found.splits}
    )
    return plain


def measure_band(
    folds: Sequence[Sequence[pd.DataFrame]], calibration: CalibrationFields, repeats: int, seed: int, symmetric: bool
) -> list[list[float]]:
    """How sure the calibration of these runs is, see `calibration_band`; of one run alone that of its own scores."""
    return calibration_band(pooled(folds), calibration.calibration, repeats, seed, symmetric)


def pooled(folds: Sequence[Sequence[pd.DataFrame]]) -> pd.DataFrame:
    """The held-out pairs of all folds with their score: that of one run alone, or the mean of the probabilities.

    folds: for each fold the predictions of its runs, all of the same pairs in the same order, with the columns of
    `predictions` and the sequences `ligand` and `receptor`. Raises `InputError` where the pairs differ.
    """
    if len(folds) == 1 and len(folds[0]) == 1:
        return folds[0][0]
    tables = []
    for of_fold in folds:
        first = of_fold[0]
        if any(not first[_SAME].equals(other[_SAME]) for other in of_fold[1:]):
            raise InputError("the runs were measured on different pairs, so they have no mean: compare them again.")
        tables.append(first.assign(score=np.mean([table["probability"] for table in of_fold], axis=0)))
    return pd.concat(tables, ignore_index=True)
