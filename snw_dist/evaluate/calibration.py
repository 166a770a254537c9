"""From a score to a probability: temperature or isotonic, chosen on validation, kept beside the weights."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.model_selection import StratifiedKFold

from hpc.checkpoint import file_digest
from hpc.errors import CorruptError, InputError
from hpc.files import atomic_write_json
from snw_dist.evaluate.metrics import checked
from snw_dist.evaluate.ranked import BoolArray, FloatArray

FILE = "calibration.json"
_FOLDS = 5
_EDGE = 1e-6
"""Scores are kept this far from 0 and 1, where the logit is infinite."""
_LOG_TEMPERATURE = (-5.0, 5.0)


@dataclasses.dataclass(frozen=True)
class Calibration:
    """A rising map from scores to probabilities.

    `temperature`: expit(logit(score) / temperature) (Guo et al. 2017). `isotonic`: straight lines between the points
    (score, probability), constant outside them (Zadrozny & Elkan 2002). `none`: the score, clipped to [0, 1].
    """

    method: Literal["temperature", "isotonic", "none"]
    temperature: float | None = None
    """Of `temperature`."""
    points: tuple[tuple[float, float], ...] = ()
    """Of `isotonic`: (score, probability), rising."""

    def __call__(self, scores: npt.ArrayLike) -> FloatArray:
        """[pairs] scores -> [pairs] float64 probabilities."""
        values = np.asarray(scores, dtype=np.float64)
        if self.temperature is not None:
            return np.asarray(expit(_logit(values) / self.temperature), dtype=np.float64)
        if self.method == "isotonic":
            score, probability = np.array(self.points).T
            return np.asarray(np.interp(values, score, probability), dtype=np.float64)
        return values.clip(0.0, 1.0)


def fit_temperature(positive: BoolArray, scores: FloatArray) -> Calibration:
    """The temperature of the largest likelihood, one number; it cannot move a score of one half."""
    logits, sign = _logit(scores), np.where(positive, -1.0, 1.0)

    def loss(log_temperature: float) -> float:
        return float(np.logaddexp(0.0, sign * logits / np.exp(log_temperature)).mean())

    found = minimize_scalar(loss, bounds=_LOG_TEMPERATURE, method="bounded")
    return Calibration("temperature", temperature=float(np.exp(found.x)))


def fit_isotonic(positive: BoolArray, scores: FloatArray) -> Calibration:
    """The rising step-wise fit of least squared error."""
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


def save_calibration(export: Path, calibration: Calibration, split: str, num_pairs: int) -> None:
    """Write `calibration.json` beside the weights it was fitted for, whose SHA-256 it names."""
    record = {
        **dataclasses.asdict(calibration),
        "fitted_on": {"split": split, "num_pairs": num_pairs},
        "weights_sha256": file_digest(export / "model.safetensors"),
    }
    atomic_write_json(export / FILE, record)


def load_calibration(export: Path) -> Calibration:
    """The calibration of an export.

    Raises `InputError` where there is none or it belongs to other weights, `CorruptError` where it cannot be read.
    """
    file, again = export / FILE, "Make it with: python launch/evaluate.py"
    try:
        record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        calibration = Calibration(
            record["method"], record["temperature"], tuple((float(x), float(y)) for x, y in record["points"])
        )
        weights = record["weights_sha256"]
    except FileNotFoundError:
        raise InputError(f"{file}: the scores of this export are not calibrated yet. {again}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptError(f"{file}: not a calibration of this program ({error}). {again}") from None
    if weights != file_digest(export / "model.safetensors"):
        raise InputError(f"{file}: belongs to other weights than those beside it. {again}")
    return calibration


def _logit(scores: FloatArray) -> FloatArray:
    return np.asarray(logit(scores.clip(_EDGE, 1.0 - _EDGE)), dtype=np.float64)
