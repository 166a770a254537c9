"""The way of an arrow from one rectangle to another, in level and upright pieces."""

from __future__ import annotations

from collections.abc import Sequence

from snw_dist.inspect.scene import Line, Rect

_ABOVE = 15
"""How far above its end an arrow turns."""
_AROUND = 16
"""How far from a box an arrow passes by it."""


def arrow(start: Rect, end: Rect, between: Sequence[Rect] = (), turn: int = 1) -> Line:
    """From `start` to what stands beside or below it.

    `between`: what stands in the way, in the same column; the arrow then passes on the right (`turn` 1) or on the left.
    """
    (x, y), (to_x, to_y) = start.middle, end.middle
    if between:
        edge, way = (start.right, end.right) if turn > 0 else (start.x, end.x)
        side = edge + turn * _AROUND
        low, high = start.y + 0.75 * start.height, end.y + 0.4 * end.height
        return Line(((edge, low), (side, low), (side, high), (way, high)))
    if end.y < start.bottom:
        level = (start.right, end.x) if to_x > x else (start.x, end.right)
        return Line(((level[0], y), (level[1], to_y)))
    if end.x < x < end.right and (abs(x - to_x) < 1 or end.width > 2 * start.width):
        return Line(((x, start.bottom), (x, end.y)))
    if start.x < to_x < start.right and start.width > 2 * end.width:
        return Line(((to_x, start.bottom), (to_x, end.y)))
    port = end.x + end.width * (0.3 if x < to_x else 0.7)
    turning = end.y - _ABOVE
    return Line(((x, start.bottom), (x, turning), (port, turning), (port, end.y)))
