"""What a picture is made of once everything has its place: rectangles, lines and texts, in pixels from the top left."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Place = tuple[float, float]
Role = Literal["strong", "plain", "quiet"]
"""How much a text is to be seen."""
SIZES: dict[Role, float] = {"strong": 13, "plain": 11, "quiet": 11}
"""Font sizes."""
SUBSCRIPT = 8.5


@dataclass(frozen=True)
class Rect:
    """`look`: a kind of block, `end` for what goes in and comes out, `encoder`, or `frame`."""

    x: float
    y: float
    width: float
    height: float
    look: str

    @property
    def middle(self) -> Place:
        """Its centre."""
        return self.x + self.width / 2, self.y + self.height / 2

    @property
    def right(self) -> float:
        """Its right edge."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """Its lower edge."""
        return self.y + self.height


@dataclass(frozen=True)
class Text:
    """One line; `y` is that of its baseline."""

    x: float
    y: float
    text: str
    role: Role = "plain"
    anchor: Literal["start", "middle", "end"] = "start"

    def runs(self) -> list[tuple[str, bool]]:
        """Its pieces, and whether each is a subscript: `L_ligand/2` is L with a small `ligand`, then /2."""
        pieces = re.split(r"(?<=\b[LN])_([a-z]+)", self.text)
        return [(piece, number % 2 == 1) for number, piece in enumerate(pieces) if piece]


@dataclass(frozen=True)
class Line:
    """Straight pieces through these points; an arrow ends in a head, a bond is dashed and has none."""

    points: tuple[Place, ...]
    arrow: bool = True
    above: bool = False
    """It crosses others: they have a gap there."""


@dataclass(frozen=True)
class Scene:
    """A whole picture; what comes later lies above."""

    title: str
    width: float
    height: float
    rects: tuple[Rect, ...]
    lines: tuple[Line, ...]
    texts: tuple[Text, ...]
