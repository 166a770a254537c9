"""The columns of ours: which there are, and that a value leads back to its label."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from snw_dist.data.scores.transform import LabelTransform, LogAffinity, MinMax
from snw_dist.scoring.columns import PREFIX, Scored, columns_of
from snw_dist.scoring.scores import Scores


def bundle(transform: LabelTransform | None) -> Any:
    says = SimpleNamespace(
        files={} if transform is None else {"label_transform.json": None},
        labels=SimpleNamespace(term="ic50", unit="nM", transform="log_affinity"),
        members={"a": None, "b": None},
    )
    return SimpleNamespace(says=says, folder=Path("b"), read_json=lambda _: transform.to_json() if transform else None)


def names(transform: LabelTransform | None, members: bool = False) -> list[str]:
    return [column.name.removeprefix(PREFIX) for column in columns_of(bundle(transform), members, [])]


def test_which_there_are() -> None:
    curve = LabelTransform(LogAffinity(), {})
    assert names(None) == ["score", "probability"]
    assert names(curve, members=True) == ["score", "probability", "predicted_value", "score_a", "score_b"]
    assert names(LabelTransform(LogAffinity(), {"r1": MinMax(-1.0, 1.0)})) == ["score", "probability"]


def test_the_value_of_the_mean_label() -> None:
    members = {"a": np.array([0.2, 1.0]), "b": np.array([0.4, 1.0])}
    scores = Scores(np.array([0.9, 0.9]), np.array([0.8, 0.8]), members, members)
    columns = {one.name: one for one in columns_of(bundle(LabelTransform(LogAffinity(), {})), members=True, trust=[])}
    made = {name: column.make(Scored(["A", "C"], ["M", "M"], scores)) for name, column in columns.items()}
    assert made["snw_predicted_value"] == pytest.approx([50_000**0.7, 1.0])
    assert columns["snw_predicted_value"].field.metadata[b"unit"] == b"nM"
    assert made["snw_score_b"].tolist() == [0.4, 1.0]
