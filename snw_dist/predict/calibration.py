"""From a score to a probability, as it was fitted on validation and is kept beside the weights that made the scores.

It is fitted, and saved, in `snw_dist.evaluate.measure.calibration`.
"""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
import numpy.typing as npt
import pydantic
from pydantic import Field

from hpc.disk.reading import BadFileError
from hpc.disk.sealed import read_sealed
from hpc.disk.strict import validated
from hpc.errors import CorruptError, InputError
from snw_dist.arrays import FloatArray
from snw_dist.log_odds import log_odds, probability_of
from snw_dist.predict.export import verify_export

CALIBRATION = "calibration.json"
_EDGE = 1e-6
"""Scores are kept this far from 0 and 1, where the logit is infinite."""
AGAIN = "Make it with: snw-dist evaluate"
_Number = Annotated[float, Field(strict=True)]
_Count = Annotated[int, Field(strict=True, ge=0)]
_STRICT = pydantic.ConfigDict(extra="forbid", allow_inf_nan=False)
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
            return probability_of(clipped_logit(values) / self.temperature)
        if self.method == "isotonic":
            score, probability = np.array(self.points).T
            return np.asarray(np.interp(values, score, probability), dtype=np.float64)
        return values.clip(0.0, 1.0)


def load_calibration(export: Path) -> Calibration:
    """The calibration of an export.

    Raises `InputError` where there is none or it belongs to other weights, `CorruptError` where it, or the export, is
    damaged.
    """
    file = export / CALIBRATION
    record = read_calibration(file)
    weights, _ = verify_export(export)
    if record.made_of["weights_sha256"] != weights:
        raise InputError(f"{file}: belongs to other weights than those beside it. {AGAIN}")
    return record.calibration


@pydantic.dataclasses.dataclass(config=_STRICT, frozen=True)
class CalibrationFields:
    """A calibration as plain data, checked."""

    method: Method
    temperature: Annotated[float, Field(strict=True, gt=0)] | None
    points: list[Annotated[list[_Number], Field(min_length=2, max_length=2)]]

    @pydantic.model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.method == "temperature") != (self.temperature is not None):
            raise ValueError("a temperature belongs to the method temperature, and to no other")
        if (self.method == "isotonic") != bool(self.points):
            raise ValueError("points belong to the method isotonic, and to no other")
        if any(a > b for first, second in itertools.pairwise(self.points) for a, b in zip(first, second, strict=True)):
            raise ValueError("the points do not rise")
        if not all(0 <= probability <= 1 for _, probability in self.points):
            raise ValueError("a probability is not from 0 to 1")
        return self

    @property
    def calibration(self) -> Calibration:
        """The map."""
        return Calibration(self.method, self.temperature, tuple((x, y) for x, y in self.points))


@pydantic.dataclasses.dataclass(config=_STRICT, frozen=True)
class FittedOn:
    """The pairs that a calibration was fitted on."""

    split: str
    num_pairs: _Count


@pydantic.dataclasses.dataclass(config=_STRICT, frozen=True)
class CalibrationRecord(CalibrationFields):
    """The content of `calibration.json`."""

    fitted_on: FittedOn
    made_of: dict[str, str]

    @pydantic.model_validator(mode="after")
    def _names_the_weights(self) -> Self:
        if "weights_sha256" not in self.made_of:
            raise ValueError("made_of does not name the weights")
        return self


def read_calibration(file: Path) -> CalibrationRecord:
    """What a `calibration.json` says; raises `InputError` where there is none, `CorruptError` where it is damaged."""
    try:
        content = read_sealed(file)
    except FileNotFoundError:
        raise InputError(f"{file}: the scores of this export are not calibrated yet. {AGAIN}") from None
    except (BadFileError, OSError) as error:
        raise CorruptError(f"{error}. {AGAIN}") from None
    return validated(CalibrationRecord, content, str(file), refuse=CorruptError)


def clipped_logit(scores: FloatArray) -> FloatArray:
    """[n] log-odds of scores [n], finite also at 0 and 1."""
    return log_odds(scores.clip(_EDGE, 1.0 - _EDGE))
