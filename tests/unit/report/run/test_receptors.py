"""Figures of single receptors are those of the libraries, and a thousand of them are one readable curve."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from snw_dist.metrics.metrics import early_recognition
from snw_dist.report.marks import Lines, Points
from snw_dist.report.run.receptors import MOST_NAMED, receptors_figure, receptors_of, receptors_table
from snw_dist.report.svg_drawing import svg


def held(num_receptors: int, num_pairs: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    names = [f"R{i}" for i in range(num_receptors) for _ in range(num_pairs)]
    positive = rng.random(len(names)) < 0.4
    score = np.round(rng.normal(positive.astype(float), 1), 1)  # with ties
    return pd.DataFrame({"split": "test", "receptor_id": names, "positive": positive, "score": score})


def test_figures_are_those_of_the_metrics() -> None:
    table = held(3)
    table.loc[table["receptor_id"] == "R2", "positive"] = False
    found = {one.name: one for one in receptors_of(table, 0.5, 1)}
    for name in ("R0", "R1"):
        rows, one = table[table["receptor_id"] == name], found[name]
        assert one.auroc == pytest.approx(roc_auc_score(rows["positive"], rows["score"]), abs=1e-12)
        assert one.enrichment == pytest.approx(early_recognition(rows["positive"], rows["score"])["ef_5"])
        assert 0 < one.low < one.auroc < one.high <= 1
        assert one.missed == (rows["positive"] & (rows["score"] < 0.5)).sum()
        assert one.alarms == (~rows["positive"] & (rows["score"] >= 0.5)).sum()
    assert np.isnan(found["R2"].auroc)
    assert found["R2"].positives == 0


def test_a_receptor_of_few_pairs_has_no_interval() -> None:
    """By drawing three pairs again it would be the shortest of all, or 0 to 0."""
    table = held(2)
    of_one = table.index[table["receptor_id"] == "R1"]
    table.loc[of_one, "positive"] = False
    table.loc[of_one[:4], "positive"] = True
    many, few = receptors_of(table, 0.5, 1)
    assert many.low < many.high
    assert not np.isnan(few.auroc)
    assert np.isnan(few.low)
    assert np.isnan(few.high)
    figure = receptors_figure([many, few])
    assert "[" not in figure.panels[0].marks[0].texts[1 if many.auroc > few.auroc else 0]
    assert svg(figure.title, figure.panels)


def test_many_receptors_are_a_curve_and_few_have_their_names() -> None:
    [few] = receptors_figure(receptors_of(held(41), 0.5, 1)).panels
    assert len(few.y.names) == 41
    assert few.height is not None
    assert few.height > 41 * 15
    [many] = receptors_figure(receptors_of(held(MOST_NAMED + 1), 0.5, 1)).panels
    line, points, _ = many.marks
    assert many.y.names == ()
    assert many.wide
    assert isinstance(line, Lines)
    assert isinstance(points, Points)
    assert (np.diff(line.y) <= 0).all()
    assert points.texts[0].startswith("R")


def test_the_table_has_the_hardest_first_and_those_without_a_figure_last() -> None:
    table = held(4)
    table.loc[table["receptor_id"] == "R0", "positive"] = True
    rows = receptors_table(receptors_of(table, None, 1)).rows
    aurocs = [row[4] for row in rows]
    assert aurocs[:3] == sorted(aurocs[:3])
    assert rows[3][0] == "R0"
    assert [row[9] for row in rows] == [0] * 4  # without a threshold nothing is called
