"""What a browser is given is what plotly knows, and no name in it is markup."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from snw_dist.report.marks import Axis, Bars, Grid, Lines, Panel, Points, Rules
from snw_dist.report.page import Figure
from snw_dist.report.plotly_drawing import legend_of, log_ticks, plotly_panel
from snw_dist.report.run.files import RunFiles
from snw_dist.report.run.page import run_page
from tests.kit.report_tools import HOSTILE

TWO = np.array([0.0, 1.0])


def coloured(value: Any) -> Any:
    """As `script.js` does it: colours for their names, and nothing that plotly does not know."""
    if isinstance(value, dict):
        return {key: coloured(inner) for key, inner in value.items() if key != "short"}
    if isinstance(value, list):
        return [coloured(inner) for inner in value]
    return {"@shades": "Blues"}.get(value, "#123456") if isinstance(value, str) and value.startswith("@") else value


def test_every_panel_of_a_report_is_known_to_plotly(run: RunFiles) -> None:
    page = run_page(run)
    figures = [block for section in page.sections for block in section.blocks if isinstance(block, Figure)]
    panels = [panel for figure in figures for panel in figure.panels]
    panels.append(Panel((Grid("value", np.eye(2), 0, 1),), Axis(names=("a", "b")), Axis(names=("c", "d"))))
    assert len(panels) > 20
    for panel in panels:
        spec = plotly_panel(panel)
        go.Figure(coloured(spec))
        json.dumps(spec, allow_nan=False)
    with pytest.raises(ValueError, match="nobody"):
        go.Figure(coloured({"data": [{"type": "scatter", "nobody": 1}], "layout": {}}))


def test_names_are_text() -> None:
    panel = Panel((Points("p", TWO, TWO, texts=(HOSTILE, "a\nb")),), Axis(HOSTILE), Axis(names=(HOSTILE, "b")))
    drawn = plotly_panel(panel)
    assert "<script" not in json.dumps(drawn)
    assert drawn["data"][0]["hovertext"][1] == "a<br>b"
    assert drawn["layout"]["yaxis"]["range"] == [1.6, -0.6]  # the first name is above


def test_a_rule_reaches_from_end_to_end() -> None:
    bars = Bars("b", TWO, np.array([2.0, 4.0]), np.ones(2), lying=True)
    rule = plotly_panel(Panel((bars, Rules("r", (3.0,))), Axis(low=0), Axis(names=("a", "b"))))["data"][1]
    assert rule["x"] == [3.0, 3.0, None]
    assert rule["y"] == [-0.6, 1.6, None]


def test_an_open_end_of_an_axis_is_where_the_marks_end() -> None:
    line = Lines("l", TWO, TWO, low=TWO - 1, high=TWO + 9)
    axis = plotly_panel(Panel((line,), Axis(), Axis(low=0)))["layout"]["yaxis"]
    assert axis["range"][0] == 0 or axis["range"][0] == -1
    assert axis["range"][1] == pytest.approx(10, abs=0.5)
    assert "range" not in plotly_panel(Panel((line,), Axis(), Axis()))["layout"]["yaxis"]


def test_ticks_of_a_logarithmic_axis() -> None:
    assert log_ticks(0.3, 4) == [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50]
    assert log_ticks(1, 10_000) == [1, 10, 100, 1_000, 10_000]


def test_the_legend_has_each_name_once() -> None:
    lines = Lines("a", TWO, TWO), Lines("b", TWO, TWO)
    assert legend_of([Panel(lines[:1], Axis(), Axis())] * 2) == []  # nothing is to be told apart
    assert [name for name, _ in legend_of([Panel(lines, Axis(), Axis())] * 2)] == ["a", "b"]
