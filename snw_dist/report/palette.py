"""Colours that colour-blind readers tell apart (Okabe & Ito 2008), on white and on dark paper, and a shape for each.

The first set is that of the pictures of `evaluate`. On dark paper blue and black would not be seen: the same hues are
there as light ones.
"""

from __future__ import annotations

from snw_dist.evaluate.pictures import style

ON_WHITE, GREY_ON_WHITE = style.COLOURS, style.GREY
ON_DARK = ("#56B4E9", "#F2813A", "#2FC79B", "#E29CC4", "#E8B33F", "#9FD3F2", "#F2F2F2")
GREY_ON_DARK = "#9AA3AD"
SHAPES = ("circle", "square", "diamond", "triangle-up", "x", "cross", "star")
"""Of points, by the number of their colour: what is told apart by colour is told apart by shape, too."""
SHADES = ("#F7FBFF", "#C6DBEF", "#6BAED6", "#2171B5", "#08306B")
"""Of a heat map, from low to high on white and from high to low on dark paper: the faint end is near the paper. One
hue, so that the order is seen without colour (Brewer's Blues)."""


def on_white(colour: int) -> str:
    """The colour of a mark on paper."""
    return GREY_ON_WHITE if colour < 0 else ON_WHITE[colour % len(ON_WHITE)]


def shape(colour: int) -> str:
    """The shape of a point."""
    return SHAPES[0] if colour < 0 else SHAPES[colour % len(SHAPES)]
