"""What a figure is made of: a few kinds of marks on panels; one description, two drawings.

`plotly_drawing` makes of it what a browser draws, `svg_drawing` what is printed, `csv_table` its numbers. All positions
are numbers. Where an axis stands for names (receptors, residues), `Axis.names` are the names at 0, 1, 2 and so on.

A colour is a number: its place in the palette, which both themes have in their own way; see `palette`.
"""

from __future__ import annotations

import dataclasses
from typing import Literal, TypeAlias

from snw_dist.arrays import FloatArray

GREY = -1
"""The colour of what is there for comparison only."""


@dataclasses.dataclass(frozen=True)
class Axis:
    """One axis of a panel."""

    title: str = ""
    names: tuple[str, ...] = ()
    """At 0, 1, 2, ...; none where the axis is of numbers."""
    log: bool = False
    low: float | None = None
    """Where the axis begins; None: where the marks do. Likewise `high`."""
    high: float | None = None


@dataclasses.dataclass(frozen=True)
class Lines:
    """A line through points, with a band around it where `low` and `high` are given."""

    name: str
    """In the legend; marks of one name share an entry and should share a colour."""
    x: FloatArray
    """[points], rising or not; NaN here or in `y` is a gap."""
    y: FloatArray
    """[points]"""
    low: FloatArray | None = None
    """[points]: lower edge of the band."""
    high: FloatArray | None = None
    """[points]: upper edge of the band."""
    colour: int = 0
    style: Literal["solid", "dash", "dot"] = "solid"
    steps: bool = False
    """The line keeps its height until the next point."""
    faint: bool = False
    """Drawn thin and light, below what matters."""


@dataclasses.dataclass(frozen=True)
class Points:
    """Single points, with a bar along y (or x, see `along`) where `low` and `high` are given."""

    name: str
    x: FloatArray
    """[points]"""
    y: FloatArray
    """[points]"""
    low: FloatArray | None = None
    """[points]: lower end of the bar."""
    high: FloatArray | None = None
    """[points]: upper end of the bar."""
    along: Literal["x", "y"] = "y"
    colour: int = 0
    texts: tuple[str, ...] = ()
    """What is said of each point when it is pointed at."""
    faint: bool = False
    joined: bool = False
    """With a line from point to point."""


@dataclasses.dataclass(frozen=True)
class Bars:
    """Bars, upright or lying, from `base` on."""

    name: str
    at: FloatArray
    """[bars]: the middle of each."""
    length: FloatArray
    """[bars]"""
    width: FloatArray
    """[bars]"""
    base: FloatArray | None = None
    """[bars]: where each begins; None: at 0."""
    lying: bool = False
    colour: int = 0
    texts: tuple[str, ...] = ()
    """What is said of each bar when it is pointed at."""


@dataclasses.dataclass(frozen=True)
class Grid:
    """A heat map."""

    name: str
    """Of the colour scale."""
    values: FloatArray
    """[rows, columns]: cell (row, column) is at y = row, x = column; NaN is empty."""
    low: float | None = None
    """The value of the faintest colour; None: the smallest. Likewise `high`, the strongest."""
    high: float | None = None


@dataclasses.dataclass(frozen=True)
class Rules:
    """Straight lines across the panel, such as a threshold or the restarts of a run."""

    name: str
    at: tuple[float, ...]
    upright: bool = True
    colour: int = GREY
    style: Literal["solid", "dash", "dot"] = "dash"
    texts: tuple[str, ...] = ()
    """What is said of each line when it is pointed at."""


Mark: TypeAlias = Lines | Points | Bars | Grid | Rules


@dataclasses.dataclass(frozen=True)
class Panel:
    """One pair of axes. A figure has one or several; they stand beside each other where there is room."""

    marks: tuple[Mark, ...]
    x: Axis
    y: Axis
    title: str = ""
    square: bool = False
    """Both axes have the same length, such as those of a ROC curve."""
    height: int | None = None
    """In pixels; None: what fits the kind."""
    wide: bool = False
    """Takes the whole width, for an axis with many names; where these have no room, on a phone, it scrolls."""
