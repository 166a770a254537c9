"""Long names on an axis: in lines where there is room, and cut in the middle where that does not do."""

from __future__ import annotations

import re

from snw_dist.evaluate.pictures.style import literal
from snw_dist.report.marks import Panel

LONGEST_NAME, LONGEST_ON_A_PHONE = 36, 20
"""Letters of a line: more would leave the figure no room."""
_ONE_LINE, _MOST_LINES = 16, 3
_AXIS, _HEIGHT = 60, 240
"""Pixels: of a line, of what is below the rows of a panel, and of a panel whose height is not known."""
_PIECE = re.compile(r".+?(?:[\s_.:/|-]+|$)")


def rows_of_names(panel: Panel) -> int:
    """Lines that each name on y has room for."""
    room = ((panel.height or _HEIGHT) - _AXIS) / max(1, len(panel.y.names))
    return int(min(_MOST_LINES, max(1, room // _ONE_LINE)))


def in_lines(name: str, letters: int, most: int = 1) -> list[str]:
    """A name in at most so many lines of so many letters, broken between its words if that does."""
    text = literal(name, letters * most)
    lines = [""]
    for piece in _PIECE.findall(text):
        if lines[-1] and len(lines[-1] + piece.rstrip()) > letters:
            lines.append("")
        lines[-1] += piece
    if len(lines) > most or any(len(line.rstrip()) > letters for line in lines):
        lines = [text[at : at + letters] for at in range(0, len(text), letters)]
    return [line.rstrip() for line in lines] if text else [""]
