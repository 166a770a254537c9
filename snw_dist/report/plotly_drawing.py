"""Marks as what plotly draws in a browser: plain data, with names of colours that the page's theme fills in.

A colour is the text `@0`, `@1`, ... of the palette, `@grey`, or `@shades` of a heat map; `script.js` puts in those of
the theme, and the layout that all panels share. Text of plotly is markup: everything from files is escaped here.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from snw_dist.arrays import FloatArray
from snw_dist.report.marks import Bars, Grid, Lines, Mark, Panel, Points, Rules
from snw_dist.report.names import LONGEST_NAME, LONGEST_ON_A_PHONE, in_lines, rows_of_names
from snw_dist.report.palette import shape

_DIGITS = 5


def plotly_panel(panel: Panel) -> dict[str, Any]:
    """`data` and `layout` of a panel, without what all panels have alike."""
    traces = [trace for mark in panel.marks for trace in _traces(mark, panel)]
    layout = {"xaxis": _axis(panel, upright=False), "yaxis": _axis(panel, upright=True)}
    return {"data": traces, "layout": layout}


def _axis(panel: Panel, upright: bool) -> dict[str, Any]:
    axis = panel.y if upright else panel.x
    found: dict[str, Any] = {"title": {"text": html.escape(axis.title)}, "type": "log" if axis.log else "linear"}
    if axis.names:
        lines = rows_of_names(panel) if upright else 1
        found |= {"tickvals": list(range(len(axis.names)))}
        for key, letters in (("ticktext", LONGEST_NAME), ("short", LONGEST_ON_A_PHONE)):
            found[key] = ["<br>".join(map(html.escape, in_lines(name, letters, lines))) for name in axis.names]
        ends = [-0.6, len(axis.names) - 0.4]
        found |= {"range": ends[::-1] if upright else ends, "showgrid": False}  # the first name is above
    elif (axis.low, axis.high) != (None, None):
        reach = ends_of(panel, upright)
        low, high = (math.log10(end) if axis.log else end for end in reach)
        room = 0.04 * (high - low)
        found["range"] = [low - room * (axis.low is None), high + room * (axis.high is None)]
    if axis.log and not axis.names:
        ticks = log_ticks(*ends_of(panel, upright))
        found |= {"tickvals": ticks, "ticktext": [f"{tick:,g}" for tick in ticks]}
    return found


def log_ticks(low: float, high: float) -> list[float]:
    """1, 10, 100 and so on, with 2 and 5 between them where these alone would be few."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    between = (1, 2, 5) if last - first <= 3 else (1,)
    return [float(f"{digit}e{power}") for power in range(first, last + 1) for digit in between]


def _traces(mark: Mark, panel: Panel) -> list[dict[str, Any]]:
    """One mark may be several traces: a band, and the line in it."""
    if isinstance(mark, Lines):
        return _lines(mark)
    if isinstance(mark, Points):
        return [_points(mark)]
    if isinstance(mark, Bars):
        return [_bars(mark)]
    if isinstance(mark, Grid):
        return [_grid(mark, panel)]
    return [_rules(mark, panel)]


def _lines(mark: Lines) -> list[dict[str, Any]]:
    colour, shape_of = _colour(mark.colour), "hv" if mark.steps else "linear"
    width = 1 if mark.faint else 2
    line = {"color": colour, "width": width, "dash": mark.style, "shape": shape_of}
    drawn = {**_plain(mark), "mode": "lines", "line": line, "opacity": 0.55 if mark.faint else 1}
    if mark.low is None or mark.high is None:
        return [drawn]
    edge = {**_plain(mark), "mode": "lines", "hoverinfo": "skip"}
    none = {"width": 0, "color": colour, "shape": shape_of}
    low = {**edge, "y": numbers(mark.low), "line": none}
    high = {**edge, "y": numbers(mark.high), "line": none, "fill": "tonexty", "fillcolor": f"{colour}/0.18"}
    return [low, high, drawn]


def _points(mark: Points) -> dict[str, Any]:
    colour = _colour(mark.colour)
    marker = {"color": colour, "symbol": shape(mark.colour), "size": 5 if mark.faint else 7}
    found = {**_plain(mark), "mode": "lines+markers" if mark.joined else "markers", "marker": marker}
    found |= {"line": {"color": colour, "width": 1.5}, "opacity": 0.5 if mark.faint else 1, **_said(mark.texts)}
    if mark.low is not None and mark.high is not None:
        centre = mark.x if mark.along == "x" else mark.y
        ends = {"array": numbers(mark.high - centre), "arrayminus": numbers(centre - mark.low)}
        found[f"error_{mark.along}"] = {"type": "data", "symmetric": False, "color": colour, **ends}
    return found


def _bars(mark: Bars) -> dict[str, Any]:
    position, length = numbers(mark.at), numbers(mark.length)
    places = {"y": position, "x": length} if mark.lying else {"x": position, "y": length}
    found = {"type": "bar", "name": mark.name, **places, "width": numbers(mark.width), **_said(mark.texts)}
    found |= {"orientation": "h" if mark.lying else "v", "marker": {"color": _colour(mark.colour)}}
    return found | ({} if mark.base is None else {"base": numbers(mark.base)})


def _grid(mark: Grid, panel: Panel) -> dict[str, Any]:
    rows = [numbers(row) for row in mark.values]
    found = {"type": "heatmap", "name": mark.name, "z": rows, "colorscale": "@shades", "hoverongaps": False}
    found |= {"zmin": mark.low, "zmax": mark.high} if mark.low is not None and mark.high is not None else {}
    if panel.x.names and panel.y.names:
        columns = [html.escape(name) for name in panel.x.names]
        found["text"] = [[f"{html.escape(row)}, {column}" for column in columns] for row in panel.y.names]
        found["hovertemplate"] = "%{text}: %{z}<extra></extra>"
    # Above the map, from its left: beside a map that scrolls nobody would see it.
    place = {
        "x": 0,
        "xanchor": "left",
        "y": 1,
        "yanchor": "bottom",
        "orientation": "h",
        "lenmode": "pixels",
        "len": 230,
    }
    return found | {"colorbar": {"title": {"text": html.escape(mark.name), "side": "top"}, "thickness": 10, **place}}


def _rules(mark: Rules, panel: Panel) -> dict[str, Any]:
    """As a line from one end of the other axis to its other end and a gap, so that it can be pointed at."""
    low, high = ends_of(panel, upright=mark.upright)
    along = [value for at in mark.at for value in (at, at, None)]
    across = [value for _ in mark.at for value in (low, high, None)]
    x, y = (along, across) if mark.upright else (across, along)
    texts = tuple(text for text in mark.texts for _ in range(3))
    line = {"color": _colour(mark.colour), "width": 1.3, "dash": mark.style}
    return {"type": "scatter", "name": mark.name, "x": x, "y": y, "mode": "lines", "line": line, **_said(texts)}


def ends_of(panel: Panel, upright: bool) -> tuple[float, float]:
    """From where to where the marks of a panel reach, in y for an upright rule, else in x."""
    axis = panel.y if upright else panel.x
    found = [*([] if axis.low is None else [axis.low]), *([] if axis.high is None else [axis.high])]
    for mark in panel.marks:
        found += [float(value) for array in reached(mark, upright) for value in array[np.isfinite(array)]]
    if axis.names:
        found += [-0.6, len(axis.names) - 0.4]
    positive = [value for value in found if value > 0] if axis.log else found
    return (min(positive), max(positive)) if positive else (0.0, 1.0)


def reached(mark: Mark, upright: bool) -> list[FloatArray]:
    """Arrays, [points] each, with the extremes of a mark: in y (`upright`) or in x."""
    if isinstance(mark, Lines | Points):
        whole = mark.y if upright else mark.x
        has_bar = isinstance(mark, Lines) or (mark.along == "y")
        ends = [one for one in (mark.low, mark.high) if one is not None] if has_bar == upright else []
        return [whole, *ends]
    if isinstance(mark, Bars):
        base = np.zeros_like(mark.length) if mark.base is None else mark.base
        across = [mark.at - mark.width / 2, mark.at + mark.width / 2]
        return across if mark.lying == upright else [base, base + mark.length]
    return []


def _plain(mark: Lines | Points) -> dict[str, Any]:
    return {"type": "scatter", "name": mark.name, "x": numbers(mark.x), "y": numbers(mark.y)}


def _said(texts: tuple[str, ...]) -> dict[str, Any]:
    if not texts:
        return {}
    return {"hovertext": [html.escape(text).replace("\n", "<br>") for text in texts], "hoverinfo": "text"}


def _colour(number: int) -> str:
    return "@grey" if number < 0 else f"@{number}"


def numbers(values: FloatArray) -> list[float | None]:
    """[n] values as JSON has them, with so many digits as can be seen; what is no number is None."""
    return [float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None for value in values.tolist()]


def legend_of(panels: Sequence[Panel]) -> list[tuple[str, Mark]]:
    """Each name of the marks once, with the first mark that has it; none where there is one alone, or a heat map."""
    found: dict[str, Mark] = {}
    for panel in panels:
        for mark in panel.marks:
            if mark.name and not isinstance(mark, Grid):
                found.setdefault(mark.name, mark)
    return list(found.items()) if len(found) > 1 else []
