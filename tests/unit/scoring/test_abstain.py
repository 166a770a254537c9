"""When a row should not be trusted."""

from __future__ import annotations

import numpy as np
import pytest

from snw_dist.bundle.trust import Limits
from snw_dist.scoring.abstain import reasons
from snw_dist.scoring.scores import Scores


def of(*members: list[float]) -> Scores:
    each = {f"m{number}": np.array(values) for number, values in enumerate(members)}
    mean = np.mean(members, axis=0)
    return Scores(mean, mean, each, each)


@pytest.mark.parametrize(
    ("ligand", "receptor", "members", "expected"),
    [
        (0.6, 1.0, (0.1, 0.3), ""),
        (0.59, 1.0, (0.1, 0.3), "ligand outside training"),
        (0.6, 0.99, (0.1, 0.3), "receptor outside training"),
        (0.6, 1.0, (0.1, 0.31), "members disagree"),
        (0.0, 0.0, (0.9, 0.1), "ligand outside training; receptor outside training; members disagree"),
    ],
)
def test_each_reason(ligand: float, receptor: float, members: tuple[float, float], expected: str) -> None:
    limits = Limits(0.6, 1.0, 0.3 - 0.1)
    assert reasons(limits, np.array([ligand]), np.array([receptor]), of(*([m] for m in members))).tolist() == [expected]


def test_a_single_member_never_disagrees() -> None:
    limits = Limits(0.6, 1.0, None)
    found = reasons(limits, np.array([1.0, 0.5]), np.ones(2), of([0.1, 0.9]))
    assert found.tolist() == ["", "ligand outside training"]
    assert reasons(limits, np.ones(1), np.ones(1), of([0.0], [1.0])).tolist() == [""], "no limit is known"
