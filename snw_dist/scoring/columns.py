"""The columns that scoring adds to a table: one schema, with a version, that says what each of them means.

| column | unit | is there |
|---|---|---|
| `snw_score` | in [0, 1], higher is closer | always |
| `snw_probability` | in [0, 1] | always: does it bind |
| `snw_predicted_value` | that of `labels` in the bundle | where one curve takes labels back to scores: how strongly |
| `snw_percentile` | % of a background | where it is asked for: how it compares with natural peptides |
| `snw_probability_low`, `snw_probability_high` | in [0, 1] | where a calibration was fitted: its interval |
| `snw_nearest_ligand`, `snw_nearest_receptor` | | always: the closest training sequence |
| `snw_nearest_ligand_identity`, `..._receptor_identity` | in [0, 1] | always |
| `snw_abstain` | | always: why not to trust the row, or empty |
| `snw_score_MEMBER` | as `snw_score` | of each member, where they are asked for |

Those from the interval on are made in `snw_dist.scoring.trusted`. A new column is one more `Column` in `columns_of`,
and the next `VERSION` where an old one has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from snw_dist.arrays import FloatArray
from snw_dist.bundle.format import LABELS
from snw_dist.bundle.read import Bundle
from snw_dist.data.scores.transform import LabelTransform, transform_from_json
from snw_dist.scoring.percentile import Percentiles
from snw_dist.scoring.scores import Scores

VERSION = 1
PREFIX = "snw_"
_NUMBER = pa.float64()


class Scored(NamedTuple):
    """Pairs of cleaned sequences with their scores; what a column is made from."""

    ligands: Sequence[str]
    receptors: Sequence[str]
    scores: Scores
    receptor_ids: Sequence[str] | None = None
    """For messages, where the receptors have any."""


class Column(NamedTuple):
    """One column of ours."""

    name: str
    meaning: str
    make: Callable[[Scored], npt.NDArray[Any]]
    """[pairs] values, of `kind`; NaN where there is none."""
    unit: str | None = None
    kind: pa.DataType = _NUMBER

    @property
    def field(self) -> pa.Field:
        """Name and type, with meaning and unit, for Parquet."""
        return described(self.name, self.meaning, self.kind, self.unit)


def described(name: str, meaning: str, kind: pa.DataType = _NUMBER, unit: str | None = None) -> pa.Field:
    """A column that says in a Parquet file what it means."""
    return pa.field(name, kind, metadata={"meaning": meaning} | ({"unit": unit} if unit else {}))


def columns_of(
    bundle: Bundle, members: bool, trust: Sequence[Column], percentiles: Percentiles | None = None
) -> list[Column]:
    """The columns that a bundle gives, in their order; `trust`: see `trusted`; with `members` the score of each one."""
    columns = [
        Column("snw_score", "score of the network, of several the mean of their probabilities", _score),
        Column("snw_probability", "that the pair is positive, calibrated on validation", _probability),
    ]
    transform = _one_curve(bundle)
    if transform is not None:
        says = bundle.says.labels
        meaning = f"predicted {says.term or 'score'}, by the inverse of the label transform {says.transform}"
        columns.append(Column("snw_predicted_value", meaning, _predicted(transform), says.unit))
    if percentiles is not None:
        columns.append(_percentile(percentiles))
    columns += trust
    if members:
        columns += [Column(f"snw_score_{name}", f"score of {name}", _of_member(name)) for name in bundle.says.members]
    return columns


def _score(scored: Scored) -> FloatArray:
    return scored.scores.score


def _probability(scored: Scored) -> FloatArray:
    return scored.scores.probability


def _of_member(name: str) -> Callable[[Scored], FloatArray]:
    return lambda scored: scored.scores.members[name]


def _predicted(transform: LabelTransform) -> Callable[[Scored], FloatArray]:
    """The scores of the networks stand for labels, also where their probabilities are the score."""

    def make(scored: Scored) -> FloatArray:
        labels = np.mean(list(scored.scores.members.values()), axis=0)
        return transform.to_score(labels, scored.receptors)

    return make


def percentile_meaning(what: str) -> str:
    """Of a percentile by a background, which `what` names."""
    return f"share that scores better with the same receptor, of {what}, as long as the ligand"


def _percentile(percentiles: Percentiles) -> Column:
    def make(scored: Scored) -> FloatArray:
        return percentiles.of(scored.ligands, scored.receptors, scored.scores.score)

    return Column("snw_percentile", percentile_meaning(percentiles.background.what), make, "%")


def _one_curve(bundle: Bundle) -> LabelTransform | None:
    """The curve of all receptors; None where there is none, or receptors have curves of their own.

    These are known by ids that mean nothing in another table.
    """
    if LABELS not in bundle.says.files:
        return None
    transform = transform_from_json(bundle.read_json(LABELS), str(bundle.folder / LABELS))
    return None if transform.of_receptor else transform
