"""The way of an arrow from one rectangle to another, in level and upright pieces."""

from __future__ import annotations

from collections.abc import Sequence

from snw_dist.inspect.scene import Line, Rect

_ABOVE = 15
"""How far above its end an arrow turns."""
_AROUND = 16
"""How far from a box an arrow passes by it."""


def arrow(start: Rect, end: Rect, between: Sequence[Rect] = ()) -> Line:
    """From `start` to what stands beside or below it.

    `between`: what stands in the way, in the same column. Where that leaves room the arrow goes straight down beside
    it, else around it on the right.
    """
    (x, y), (to_x, to_y) = start.middle, end.middle
    if between:
        left, right = min(rect.x for rect in between), max(rect.right for rect in between)
        if max(left - start.x, start.right - right) >= _AROUND:
            x = (start.x + left) / 2 if left > start.x else (right + start.right) / 2
            return Line(((x, start.bottom), (x, end.y)))
        side, low, high = start.right + _AROUND, start.y + 0.75 * start.height, end.y + 0.4 * end.height
        return Line(((start.right, low), (side, low), (side, high), (end.right, high)), above=True)
    if end.y < start.bottom:
        level = (start.right, end.x) if to_x > x else (start.x, end.right)
        return Line(((level[0], y), (level[1], to_y)))
    if end.x < x < end.right and (abs(x - to_x) < end.width / 4 or end.width > 2 * start.width):
        return Line(((x, start.bottom), (x, end.y)))
    if start.x < to_x < start.right and start.width > 2 * end.width:
        return Line(((to_x, start.bottom), (to_x, end.y)))
    port = end.x + end.width * (0.3 if x < to_x else 0.7)
    turning = end.y - _ABOVE
    return Line(((x, start.bottom), (x, turning), (port, turning), (port, end.y)))
