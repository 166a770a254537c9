"""The pictures for print: the same bytes each time, text that stays text, and every kind of mark."""

from __future__ import annotations

from xml.etree import ElementTree as Xml

import numpy as np

from snw_dist.report.marks import Axis, Bars, Grid, Lines, Mark, Panel, Points, Rules
from snw_dist.report.svg_drawing import svg
from tests.kit.report_tools import HOSTILE

X = np.array([1.0, 2.0, 4.0])


def texts(drawn: bytes) -> set[str]:
    return {"".join(node.itertext()) for node in Xml.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")}


def test_a_figure_is_the_same_each_time_and_its_text_can_be_edited() -> None:
    marks: tuple[Mark, ...] = (
        *(Lines("line", X, X, X - 1, X + 1, steps=True), Points("points", X, X, X - 1, X + 1, along="x", colour=2)),
        *(Bars("bars", X, X, X / 9, lying=True), Rules("rule", (2.0, 3.0), upright=False)),
    )
    panels = [Panel(marks, Axis("step", log=True), Axis("loss"), HOSTILE)] * 2
    drawn = svg("Title $x$", panels)
    assert drawn == svg("Title $x$", panels)
    assert "<dc:title>Title $x$</dc:title>" in drawn.decode()
    assert {"step", "loss", "line", "points", "bars", "rule"} <= texts(drawn)
    assert b"<script" not in drawn
    assert {"1", "2"} <= texts(drawn)
    assert "10^" not in drawn.decode()


def test_a_heat_map_has_its_first_row_above() -> None:
    names = tuple(f"row {i}" for i in range(3))
    drawn = svg("Map", [Panel((Grid("score", np.arange(9.0).reshape(3, 3)),), Axis(names=names), Axis(names=names))])
    assert {"row 0", "score"} <= texts(drawn)
    places = {
        "".join(node.itertext()): float(node.get("y", "0"))
        for node in Xml.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")
        if node.get("style", "").find("end") > 0
    }
    assert places["row 0"] < places["row 2"]
