"""Fitting a calibration, temperature or isotonic, chosen on validation; and saving it beside the weights."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from sklearn.isotonic import IsotonicRegression
from sklearn.model_selection import StratifiedKFold

from hpc.disk.sealed import write_sealed
from hpc.errors import CorruptError, InputError, SnwError
from snw_dist.arrays import BoolArray, FloatArray
from snw_dist.metrics.metrics import checked
from snw_dist.predict.calibration import CALIBRATION, Calibration, clipped_logit, read_calibration
from snw_dist.predict.export import check_still_there

_FOLDS = 5
_LOG_TEMPERATURE = (-5.0, 5.0)


def fit_temperature(positive: BoolArray, scores: FloatArray) -> Calibration:
    """The temperature of the largest likelihood, one number for all [n]; it cannot move a score of one half."""
    logits, sign = clipped_logit(scores), np.where(positive, -1.0, 1.0)

    def loss(log_temperature: float) -> float:
        return float(np.logaddexp(0.0, sign * logits / np.exp(log_temperature)).mean())

    found = minimize_scalar(loss, bounds=_LOG_TEMPERATURE, method="bounded")
    return Calibration("temperature", temperature=float(np.exp(found.x)))


def fit_isotonic(positive: BoolArray, scores: FloatArray) -> Calibration:
    """The rising step-wise fit of least squared error, to labels and scores [n]."""
    model = IsotonicRegression(y_min=0.0, y_max=1.0).fit(scores, positive.astype(np.float64))
    points = np.column_stack([model.X_thresholds_, model.y_thresholds_]).tolist()
    return Calibration("isotonic", points=tuple((x, y) for x, y in points))


def choose_calibration(positive: npt.ArrayLike, scores: npt.ArrayLike, seed: int) -> Calibration:
    """The method of the smaller Brier score in 5-fold cross-validation, fitted to all of the given pairs.

    positive: [pairs] bool, scores: [pairs] float, of the validation split alone. Fewer folds where a class has fewer
    pairs than that; with fewer than two of a class nothing can be fitted and the method is `none`.
    """
    flags, values = checked(positive, scores)
    rarest = int(min(flags.sum(), (~flags).sum()))
    if rarest < 2:
        return Calibration("none")
    folds = list(StratifiedKFold(min(_FOLDS, rarest), shuffle=True, random_state=seed).split(values, flags))

    def error(fit: Callable[[BoolArray, FloatArray], Calibration]) -> float:
        out = np.empty_like(values)
        for rest, fold in folds:
            out[fold] = fit(flags[rest], values[rest])(values[fold])
        return float(np.mean((out - flags) ** 2))

    return min((fit_temperature, fit_isotonic), key=error)(flags, values)


def save_calibration(
    export: Path, calibration: Calibration, split: str, num_pairs: int, made_of: Mapping[str, str]
) -> None:
    """Write `calibration.json` beside the weights that made the scores it was fitted on.

    `made_of`: `weights_sha256`, the digest of the weights that were loaded, and others. Raises `EnvironmentProblem`
    when the export holds other weights by now, before or after: no calibration is left beside those.
    """
    check_still_there(export, made_of["weights_sha256"])
    record = {
        **dataclasses.asdict(calibration),
        "fitted_on": {"split": split, "num_pairs": num_pairs},
        "made_of": dict(made_of),
    }
    write_sealed(export / CALIBRATION, record)
    try:
        check_still_there(export, made_of["weights_sha256"])
    except SnwError:
        with contextlib.suppress(CorruptError, InputError):
            if read_calibration(export / CALIBRATION).made_of == made_of:
                (export / CALIBRATION).unlink(missing_ok=True)
        raise
