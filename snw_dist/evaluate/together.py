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
from snw_dist.evaluate.measure.measured import measure_scores, parts_of
from snw_dist.evaluate.report import without_nan

_SAME = ["split", "ligand", "receptor", "positive"]


def measure_together(
    folds: Sequence[Sequence[pd.DataFrame]], repeats: int, seed: int, symmetric: bool
) -> dict[str, Any]:
    """`threshold`, `calibration` and `splits` of the mean, as plain data without NaN.

    folds: for each fold the predictions of its runs, all of the same pairs in the same order, with the columns of
    `predictions` and the sequences `ligand` and `receptor`. Raises `InputError` where the pairs differ.
    """
    tables = []
    for of_fold in folds:
        first = of_fold[0]
        if any(not first[_SAME].equals(other[_SAME]) for other in of_fold[1:]):
            raise InputError("the runs were measured on different pairs, so they have no mean: compare them again.")
        tables.append(first.assign(score=np.mean([table["probability"] for table in of_fold], axis=0)))
    pairs = pd.concat(tables, ignore_index=True)
    parts = parts_of(pairs, repeats, seed, symmetric)
    found = measure_scores(pairs, parts, pairs["score"].to_numpy(dtype=np.float64), seed, "the members together")
    calibration = dataclasses.asdict(found.calibration)
    plain: dict[str, Any] = without_nan(
        {"threshold": found.threshold, "calibration": calibration, "splits": found.splits}
    )
    return plain
