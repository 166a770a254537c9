"""Invertible maps from raw scores, of which lower is better, to labels in [0, 1], and back; saved with the data.

| curve | label of score s | exactly invertible for |
|---|---|---|
| `minmax` | (worst - s) / (worst - best), clipped | best <= s <= worst |
| `logistic` | 1 / (1 + exp((s - middle) / scale)), clipped | 12 scales around the middle |
| `rank` | share of the train scores that are worse, linear in between | scores between the train extremes |
| `log_affinity` | 1 - log(s) / log(50,000), s an affinity such as IC50 in nM, clipped | 1 <= s <= 50,000 |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from hpc.disk.strict import validated
from hpc.errors import InputError
from snw_dist.arrays import FloatArray
from snw_dist.log_odds import log_odds

MIN_PAIRS = 10
"""Train pairs that a receptor needs for a curve of its own."""
_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
_MAX_KNOTS = 257
_SATURATION = 12.0
Strings: TypeAlias = "Sequence[str] | NDArray[np.object_] | pd.Series[str]"


@dataclass(config=_STRICT, frozen=True)
class MinMax:
    """A straight line between two scores."""

    best: float
    worst: float
    kind: Literal["minmax"] = "minmax"

    def to_label(self, score: FloatArray) -> FloatArray:
        """Labels [n] of scores [n]; likewise in the other curves."""
        return ((self.worst - score) / (self.worst - self.best)).clip(0, 1)

    def to_score(self, label: FloatArray) -> FloatArray:
        """The inverse: scores [n] of labels [n]."""
        return self.worst - label * (self.worst - self.best)


@dataclass(config=_STRICT, frozen=True)
class Logistic:
    """A sigmoid; the quartiles of the train scores have labels 0.75 and 0.25."""

    middle: float
    scale: float
    kind: Literal["logistic"] = "logistic"

    def to_label(self, score: FloatArray) -> FloatArray:
        """Labels [n], clipped where a label near 1 has no digits left to be inverted by."""
        from scipy.special import expit  # not by `log_odds`: labels of older versions keep their last bit

        return expit(((self.middle - score) / self.scale).clip(-_SATURATION, _SATURATION))

    def to_score(self, label: FloatArray) -> FloatArray:
        """The inverse: scores [n] of labels [n]."""
        return self.middle - self.scale * log_odds(label).clip(-_SATURATION, _SATURATION)


@dataclass(config=_STRICT, frozen=True)
class Rank:
    """A table of quantiles, linear in between."""

    scores: list[float]
    """Ascending."""
    labels: list[float]
    """Descending from 1 to 0."""
    kind: Literal["rank"] = "rank"

    def to_label(self, score: FloatArray) -> FloatArray:
        """Labels [n], clipped to 0 and 1 beyond the table."""
        return np.interp(score, self.scores, self.labels)

    def to_score(self, label: FloatArray) -> FloatArray:
        """The inverse: scores [n] of labels [n]."""
        return np.interp(label, self.labels[::-1], self.scores[::-1])


@dataclass(config=_STRICT, frozen=True)
class LogAffinity:
    """The scale of Nielsen et al., Protein Sci. 2003, 12:1007: 500 nM has label 0.426."""

    limit: float = 50_000.0
    kind: Literal["log_affinity"] = "log_affinity"

    def to_label(self, score: FloatArray) -> FloatArray:
        """Labels [n], clipped to 0 beyond the limit and to 1 below 1."""
        label: FloatArray = 1 - np.log(score.clip(1, self.limit)) / np.log(self.limit)
        return label

    def to_score(self, label: FloatArray) -> FloatArray:
        """The inverse: scores [n] of labels [n]."""
        return self.limit ** (1 - label)


Curve: TypeAlias = Annotated[MinMax | Logistic | Rank | LogAffinity, Field(discriminator="kind")]


@dataclass(config=_STRICT, frozen=True)
class LabelTransform:
    """One curve for all receptors, and those of receptors that have their own."""

    overall: Curve
    of_receptor: dict[str, Curve]

    def to_label(self, score: ArrayLike, receptor_id: Strings) -> FloatArray:
        """Labels `[n]` in [0, 1], higher is better, of scores `[n]` for the receptors `[n]`."""
        return self._apply(lambda curve, values: curve.to_label(values), np.asarray(score, np.float64), receptor_id)

    def to_score(self, label: ArrayLike, receptor_id: Strings) -> FloatArray:
        """Scores `[n]` of labels `[n]` in [0, 1] for the receptors `[n]`; the inverse within the range of the curve."""
        return self._apply(
            lambda curve, values: curve.to_score(values), np.asarray(label, np.float64).clip(0, 1), receptor_id
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data; `transform_from_json` reads it, and gives the same numbers to the last bit."""
        plain: dict[str, Any] = TypeAdapter(LabelTransform).dump_python(self)
        return plain

    def _apply(
        self, call: Callable[[Curve, FloatArray], FloatArray], values: FloatArray, receptor_id: Strings
    ) -> FloatArray:
        if len(values) != len(receptor_id):
            raise ValueError(f"{len(values)} values for {len(receptor_id)} receptors")
        result = call(self.overall, values)
        if self.of_receptor:
            for name, rows in _rows_of(receptor_id):
                if name in self.of_receptor:
                    result[rows] = call(self.of_receptor[name], values[rows])
        return result


def transform_from_json(values: Mapping[str, Any], source: str) -> LabelTransform:
    """Rebuild what `to_json` gave; raises `InputError` naming `source` for anything else."""
    return validated(LabelTransform, values, source)


def fit_transform(
    kind: str, score: FloatArray, receptor_id: Strings, *, per_receptor: bool, clip: float
) -> LabelTransform:
    """Fit a transform on the scores `[n]` of train pairs; held-out scores must not shape the labels.

    With `per_receptor`, receptors with at least `MIN_PAIRS` pairs that are not all equal get a curve of their own; all
    others, such as those of a receptor-cold test set, have the one of all train pairs. Raises `InputError` when all
    scores are equal.
    """
    overall = _fit(kind, score, clip)
    if overall is None:
        raise InputError(
            f"all {len(score):,} scores of the train split are equal or nearly so. Check data.scores.term."
        )
    own: dict[str, Curve] = {}
    if per_receptor:
        for name, rows in _rows_of(receptor_id):
            curve = _fit(kind, score[rows], clip) if len(rows) >= MIN_PAIRS else None
            if curve is not None:
                own[name] = curve
    return LabelTransform(overall, own)


def _fit(kind: str, score: FloatArray, clip: float) -> Curve | None:
    """A curve, or None where the scores do not differ enough for one."""
    if kind == "log_affinity":
        return LogAffinity()
    if kind == "rank":
        return _fit_rank(score)
    if kind == "minmax":
        best, worst = np.quantile(score, [clip, 1 - clip])
        return MinMax(float(best), float(worst)) if _differ(best, worst) else None
    low, middle, high = np.quantile(score, [0.25, 0.5, 0.75])
    return Logistic(float(middle), float((high - low) / (2 * np.log(3)))) if _differ(low, high) else None


def _fit_rank(score: FloatArray) -> Rank | None:
    value, count = np.unique(score, return_counts=True)
    if not _differ(value[0], value[-1]):
        return None
    rank = np.cumsum(count) - (count + 1) / 2  # equal scores share their mean rank
    label = (rank[-1] - rank) / (rank[-1] - rank[0])
    knots = np.unique(np.searchsorted(rank, np.linspace(rank[0], rank[-1], _MAX_KNOTS)))
    return Rank(value[knots].tolist(), label[knots].tolist())


def _differ(low: float, high: float) -> bool:
    """Whether scores between the two can be told apart after going to a label and back."""
    return bool(high - low > 1e-6 * max(abs(low), abs(high), 1e-300))


def _rows_of(names: Strings) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Each distinct name with its positions, in the order of first appearance."""
    codes, distinct = pd.factorize(np.asarray(names, object))
    rows = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
    yield from zip(distinct.tolist(), rows, strict=True)
