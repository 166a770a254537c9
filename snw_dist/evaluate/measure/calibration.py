"""From a score to a probability: temperature or isotonic, chosen on validation, kept beside the weights."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
import pydantic
from pydantic import Field
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.model_selection import StratifiedKFold

from hpc.disk.reading import BadFileError
from hpc.disk.sealed import read_sealed, write_sealed
from hpc.disk.strict import validated
from hpc.errors import CorruptError, InputError, SnwError
from snw_dist.arrays import BoolArray, FloatArray
from snw_dist.metrics.metrics import checked
from snw_dist.predict.export import check_still_there, verify_export

FILE = "calibration.json"
_FOLDS = 5
_EDGE = 1e-6
"""Scores are kept this far from 0 and 1, where the logit is infinite."""
_LOG_TEMPERATURE = (-5.0, 5.0)
_AGAIN = "Make it with: python launch/evaluate.py"
_Number = Annotated[float, Field(strict=True)]
_Count = Annotated[int, Field(strict=True, ge=0)]
Method = Literal["temperature", "isotonic", "none"]


@dataclasses.dataclass(frozen=True)
class Calibration:
    """A rising map from scores to probabilities.

    `temperature`: expit(logit(score) / temperature) (Guo et al. 2017). `isotonic`: straight lines between the points
    (score, probability), constant outside them (Zadrozny & Elkan 2002). `none`: the score, clipped to [0, 1].
    """

    method: Method
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
    """The temperature of the largest likelihood, one number for all [n]; it cannot move a score of one half."""
    logits, sign = _logit(scores), np.where(positive, -1.0, 1.0)

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
    write_sealed(export / FILE, record)
    try:
        check_still_there(export, made_of["weights_sha256"])
    except SnwError:
        with contextlib.suppress(CorruptError, InputError):
            if _read(export / FILE).made_of == made_of:
                (export / FILE).unlink(missing_ok=True)
        raise


def load_calibration(export: Path) -> Calibration:
    """The calibration of an export.

    Raises `InputError` where there is none or it belongs to other weights, `CorruptError` where it, or the export, is
    damaged.
    """
    file = export / FILE
    record = _read(file)
    weights, _ = verify_export(export)
    if record.made_of["weights_sha256"] != weights:
        raise InputError(f"{file}: belongs to other weights than those beside it. {_AGAIN}")
    return Calibration(record.method, record.temperature, tuple((x, y) for x, y in record.points))


@pydantic.dataclasses.dataclass(config=pydantic.ConfigDict(extra="forbid", allow_inf_nan=False), frozen=True)
class _FittedOn:
    split: str
    num_pairs: _Count


@pydantic.dataclasses.dataclass(config=pydantic.ConfigDict(extra="forbid", allow_inf_nan=False), frozen=True)
class _Record:
    """The content of `calibration.json`."""

    method: Method
    temperature: Annotated[float, Field(strict=True, gt=0)] | None
    points: list[Annotated[list[_Number], Field(min_length=2, max_length=2)]]
    fitted_on: _FittedOn
    made_of: dict[str, str]

    @pydantic.model_validator(mode="after")
    def _is_one(self) -> _Record:
        if (self.method == "temperature") != (self.temperature is not None):
            raise ValueError("a temperature belongs to the method temperature, and to no other")
        if (self.method == "isotonic") != bool(self.points):
            raise ValueError("points belong to the method isotonic, and to no other")
        if any(a > b for first, second in itertools.pairwise(self.points) for a, b in zip(first, second, strict=True)):
            raise ValueError("the points do not rise")
        if not all(0 <= probability <= 1 for _, probability in self.points):
            raise ValueError("a probability is not from 0 to 1")
        if "weights_sha256" not in self.made_of:
            raise ValueError("made_of does not name the weights")
        return self


def _read(file: Path) -> _Record:
    try:
        content = read_sealed(file)
    except FileNotFoundError:
        raise InputError(f"{file}: the scores of this export are not calibrated yet. {_AGAIN}") from None
    except (BadFileError, OSError) as error:
        raise CorruptError(f"{error}. {_AGAIN}") from None
    return validated(_Record, content, str(file), refuse=CorruptError)


def _logit(scores: FloatArray) -> FloatArray:
    return np.asarray(logit(scores.clip(_EDGE, 1.0 - _EDGE)), dtype=np.float64)
