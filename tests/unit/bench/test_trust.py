"""The figures of trust, on tables of which they are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.bench.trust import figures


def table(shift: float) -> pd.DataFrame:
    """2,000 pairs of 20 receptors, half of which abstain; a third of these is called wrong, and no other."""
    rng = np.random.default_rng(2)
    number = np.arange(2000)
    probability = rng.random(2000)
    half, wrong = number % 2 == 0, number % 6 == 0
    values = {f"snw_nearest_{side}_identity": 1.0 - half for side in ("ligand", "receptor")}
    values |= {"snw_probability": probability, "snw_abstain": np.where(half, "members disagree", "")}
    values |= {"snw_probability_low": probability + shift - 0.2, "snw_probability_high": probability + shift + 0.2}
    values |= {"binds": (rng.random(2000) < probability).astype(int), "receptor": [f"r{n % 20}" for n in number]}
    called = (values["binds"] == 1) != wrong
    return pd.DataFrame(values | {"snw_score": called * 0.5 + 0.25, "apart": wrong * 1.0})


def test_what_is_planted_is_found() -> None:
    found = figures(table(0.0), 0.5)
    assert found["pairs"] == 2000
    assert found["abstains"] == 0.5
    assert found["wrong where it abstains"] == pytest.approx(1 / 3, abs=0.01)
    assert found["wrong elsewhere"] == 0
    assert found["AUROC of being wrong"]["distance of members"] == 1.0
    assert found["AUROC of being wrong"]["abstain"] == pytest.approx(0.8, abs=0.01)
    assert found["interval holds"] > 0.95 < found["interval holds if exact"]
    assert found["calibration error"][0] < 0.05
    assert found["rows, and wrong calls, by reason"] == {"members disagree": "1,000, 0.334"}


def test_an_interval_that_is_elsewhere_does_not_hold() -> None:
    found = figures(table(0.5), 0.5)
    assert found["interval holds"] < 0.05
    assert found["interval holds if exact"] < 0.05
