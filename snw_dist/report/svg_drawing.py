"""Marks as an SVG of matplotlib: for print and papers, and for whoever opens a page where no script may run.

Text stays text, so that it can be edited.
"""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure as Canvas

from snw_dist.evaluate.pictures.style import literal, own_style, plain
from snw_dist.report.marks import Bars, Grid, Lines, Mark, Panel, Points
from snw_dist.report.names import LONGEST_NAME, in_lines, rows_of_names
from snw_dist.report.palette import SHADES, on_white
from snw_dist.report.plotly_drawing import ends_of, legend_of, log_ticks

_DASHES = {"solid": "-", "dash": "--", "dot": ":"}
_SYMBOLS = ("o", "s", "D", "^", "x", "P", "*")
_PIXELS = 96
_MOST_COLUMNS, _MOST_LEVEL = 3, 8
_LONGEST_ENTRY, _LETTERS_AN_INCH, _LETTERS_OF_A_MARK = 70, 12, 7
"""Of a legend."""


def svg(title: str, panels: list[Panel] | tuple[Panel, ...]) -> bytes:
    """A figure of these panels; its title is in the file and not in the picture. Equal bytes for equal panels."""
    with own_style(), rc_context({"svg.fonttype": "none", "svg.hashsalt": title}):
        columns = 1 if any(panel.wide for panel in panels) else min(_MOST_COLUMNS, len(panels))
        rows = math.ceil(len(panels) / columns)
        heights = [max(_height(panel) for panel in panels[at * columns : (at + 1) * columns]) for at in range(rows)]
        size = (max(6.4, 4.2 * columns), sum(heights) + 0.9)
        canvas = Canvas(figsize=size, layout="constrained")
        axes = canvas.subplots(rows, columns, squeeze=False, height_ratios=heights)
        for place, panel in zip(axes.flat, panels, strict=False):
            _draw(place, panel)
        for place in axes.flat[len(panels) :]:
            place.set_visible(False)
        _legend(canvas, axes.flat[: len(panels)], panels)
        FigureCanvasSVG(canvas)
        buffer = io.BytesIO()
        canvas.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Title": title})
    return buffer.getvalue()


def _height(panel: Panel) -> float:
    """In inches."""
    return panel.height / _PIXELS if panel.height else 4.2 if panel.square else 3.4


def _draw(axes: Axes, panel: Panel) -> None:
    plain(axes, panel.x.title, panel.y.title)
    axes.set_title(literal(panel.title), fontsize=10)
    for mark in panel.marks:
        _mark(axes, mark, panel)
    _axis(axes, panel, upright=False)
    _axis(axes, panel, upright=True)
    if panel.square:
        axes.set_aspect("equal")


def _axis(axes: Axes, panel: Panel, upright: bool) -> None:
    axis, name = (panel.y, "y") if upright else (panel.x, "x")
    drawn = axes.yaxis if upright else axes.xaxis
    if axis.names:
        turned: dict[str, Any] = {"rotation": 90} if not upright and len(axis.names) > _MOST_LEVEL else {}
        lines = rows_of_names(panel) if upright else 1
        names = ["\n".join(in_lines(one, LONGEST_NAME, lines)) for one in axis.names]
        drawn.set_ticks(np.arange(len(names)), labels=names, fontsize=8, **turned)
        ends = (-0.6, len(names) - 0.4)
        axes.set(**{f"{name}lim": ends[::-1] if upright else ends})
        return
    if axis.log:
        axes.set(**{f"{name}scale": "log"})
        reach = ends_of(panel, upright)
        drawn.set_ticks([tick for tick in log_ticks(*reach) if reach[0] <= tick <= reach[1]], minor=False)
        drawn.set_ticks([], minor=True)
        drawn.set_major_formatter("{x:,g}")
    axes.set(**{f"{name}lim": (axis.low, axis.high)})


def _mark(axes: Axes, mark: Mark, panel: Panel) -> None:
    if isinstance(mark, Lines):
        _lines(axes, mark)
    elif isinstance(mark, Points):
        _points(axes, mark)
    elif isinstance(mark, Bars):
        bar = axes.barh if mark.lying else axes.bar
        start: dict[str, Any] = {"left" if mark.lying else "bottom": 0 if mark.base is None else mark.base}
        bar(mark.at, mark.length, mark.width, color=on_white(mark.colour), label=mark.name, **start)
    elif isinstance(mark, Grid):
        shades = LinearSegmentedColormap.from_list("shades", SHADES)
        drawn = axes.imshow(
            np.ma.masked_invalid(mark.values), shades, aspect="auto", vmin=mark.low, vmax=mark.high, origin="upper"
        )
        axes.figure.colorbar(drawn, ax=axes, label=mark.name, shrink=0.8)
        axes.grid(visible=False)
    else:
        rule = axes.axvline if mark.upright else axes.axhline
        for number, at in enumerate(mark.at):
            style: dict[str, Any] = {"color": on_white(mark.colour), "linestyle": _DASHES[mark.style], "linewidth": 1}
            rule(at, label=mark.name if number == 0 else None, **style)


def _lines(axes: Axes, mark: Lines) -> None:
    colour, how = on_white(mark.colour), "steps-post" if mark.steps else "default"
    if mark.low is not None and mark.high is not None:
        step: dict[str, Any] = {"step": "post" if mark.steps else None}
        axes.fill_between(mark.x, mark.low, mark.high, color=colour, alpha=0.18, linewidth=0, **step)
    width, alpha = (0.7, 0.55) if mark.faint else (1.8, 1.0)
    style: dict[str, Any] = {"linestyle": _DASHES[mark.style], "drawstyle": how}
    axes.plot(mark.x, mark.y, color=colour, linewidth=width, alpha=alpha, label=mark.name, **style)


def _points(axes: Axes, mark: Points) -> None:
    colour, symbol = on_white(mark.colour), _SYMBOLS[max(mark.colour, 0) % len(_SYMBOLS)]
    style: dict[str, Any] = {"color": colour, "alpha": 0.5 if mark.faint else 1.0}
    if mark.low is not None and mark.high is not None:
        centre = mark.x if mark.along == "x" else mark.y
        ends = np.maximum(np.stack([centre - mark.low, mark.high - centre]), 0)
        bars: dict[str, Any] = {f"{mark.along}err": ends}
        axes.errorbar(mark.x, mark.y, fmt="none", linewidth=1, **bars, **style)
    shown: dict[str, Any] = {"linestyle": "-" if mark.joined else "", "linewidth": 1.2, "rasterized": False}
    axes.plot(mark.x, mark.y, marker=symbol, markersize=3 if mark.faint else 5, label=mark.name, **shown, **style)


def _legend(canvas: Canvas, axes: Any, panels: list[Panel] | tuple[Panel, ...]) -> None:
    """Below the axes, each name once, and none where there is nothing to be told apart."""
    wanted = [name for name, _ in legend_of(panels)]
    found: dict[str, Any] = {}
    for one in axes:
        handles, names = one.get_legend_handles_labels()
        found |= {name: handle for handle, name in zip(handles, names, strict=True) if name not in found}
    chosen = {literal(name, _LONGEST_ENTRY): found[name] for name in wanted if name in found}
    if chosen:
        width = int(canvas.get_figwidth() * _LETTERS_AN_INCH)
        columns = max(1, min(len(chosen), width // (max(map(len, chosen)) + _LETTERS_OF_A_MARK)))
        place: dict[str, Any] = {"loc": "outside lower center", "ncols": columns}
        canvas.legend(chosen.values(), chosen.keys(), frameon=False, fontsize=9, **place)
