"""How sure a calibration is: the same fit to validation pairs that are drawn again and again."""

from __future__ import annotations

import numpy as np
import pandas as pd

from hpc.told import did, long_work
from snw_dist.arrays import FloatArray
from snw_dist.evaluate.measure.calibration import fit_isotonic, fit_temperature
from snw_dist.evaluate.measure.held_out import VAL
from snw_dist.evaluate.measure.measured import numbered
from snw_dist.metrics.bootstrap import LEVEL, plan_draws
from snw_dist.predict.calibration import Calibration

_FITS = {"temperature": fit_temperature, "isotonic": fit_isotonic}
_POINTS = 256
"""Scores at which the band is written down; between them it is a straight line."""
_RULE_OF_THREE = 3.0
"""Of n pairs without a positive: up to 3 / n may be, by 95 % (Hanley & Lippman-Hand 1983)."""


def calibration_band(
    pairs: pd.DataFrame, calibration: Calibration, repeats: int, seed: int, symmetric: bool
) -> list[list[float]]:
    """[score, low, high], rising: the 95 % intervals of the probability at scores of `val`; the method stays the same.

    pairs: columns split, positive, score, and the sequences ligand and receptor. What is drawn is what the intervals of
    metrics draw: receptors with all their pairs. Empty where nothing was fitted, or no repeat has both classes.
    """
    val = pairs[pairs["split"] == VAL]
    positive, score = val["positive"].to_numpy(dtype=np.bool_), val["score"].to_numpy(dtype=np.float64)
    fit = _FITS.get(calibration.method)
    if fit is None or not repeats:
        return []
    at = np.unique(np.quantile(score, np.linspace(0, 1, _POINTS), method="nearest"))
    receptor, other_end = numbered(val, symmetric)
    draws = plan_draws(receptor, repeats, seed, other_end)
    found = []
    with long_work(f"interval of the calibration, {repeats:,} repeats", repeats, "repeats"):
        for counts in draws.chunks():
            did("repeats", counts.shape[1])
            for drawn in counts[draws.of_pair].T.astype(np.int64):
                flags = np.repeat(positive, drawn)
                if flags.any() and not flags.all():
                    found.append(fit(flags, np.repeat(score, drawn))(at))
    if not found:
        return []
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    low, high = _never_certain(calibration(score), low, high)
    return [[float(one) for one in row] for row in np.column_stack([at, low, high])]


def _never_certain(probability: FloatArray, low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Where the fit says 0 or 1, as an isotonic one does, each draw says it too: what was not seen is no certainty."""
    none, all_of_them = int((probability == 0).sum()), int((probability == 1).sum())
    least = min(1.0, _RULE_OF_THREE / none) if none else 0.0
    most = max(0.0, 1 - _RULE_OF_THREE / all_of_them) if all_of_them else 1.0
    return np.minimum(low, most), np.maximum(high, least)
