"""The place of everything in the picture of a network: ligand on the left, receptor on the right, pairs between them.

Every box stands in a row and a column. Going down, each row needs what is above it. Where a side gives its numbers at
several scales, what samples a scale stands below it and further in, and beside that what compares both sides at this
scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from snw_dist.inspect.diagram import Box, Diagram
from snw_dist.inspect.origins import Source

SIDES = ("ligand", "receptor")
INPUT, ENCODER, FIRST = 0, 1, 2
"""Rows of what goes in, of the encoder, and of the network's first blocks."""


@dataclass(frozen=True)
class Cell:
    """`column`: 0 is between the sides, -1 is the ligand's and 1 the receptor's."""

    row: int
    column: int
    inner: bool = False
    """Moved towards the middle: its side goes on below it, and passes by."""


@dataclass(frozen=True)
class Grid:
    """Where the boxes of a diagram stand."""

    cells: tuple[Cell, ...]
    """Of each box."""
    score: Cell
    attention: Cell | None

    @property
    def apart(self) -> bool:
        """Something stands between the sides, or beside what does: then the middle needs a column of its own."""
        last = max((cell.row for cell in self.cells if cell.column), default=0)
        return self.attention is not None or any(not cell.column and cell.row <= last for cell in self.cells)

    @property
    def columns(self) -> list[int]:
        """The columns with something in them, from the left."""
        return sorted({cell.column for cell in (*self.cells, self.score)} | {-1, 1})


def grid_of(diagram: Diagram) -> Grid:
    """Rows and columns."""
    boxes, cells = diagram.boxes, list[Cell]()
    beside = _beside(boxes)
    rows = dict.fromkeys(SIDES, FIRST - 1)
    for number, box in enumerate(boxes):
        if box.phase == "pairs":
            sampled = [cells[source].row for source in _boxes(box.sources) if source in beside]
            below = max((cells[source].row for source in _boxes(box.sources)), default=FIRST - 1) + 1
            cells.append(Cell(max(sampled) if sampled else below, 0))
            continue
        column = -1 if box.phase == "ligand" else 1
        if number in beside:
            cells.append(Cell(max(cells[source].row for source in _boxes(box.sources)) + 1, column, inner=True))
        else:
            rows[box.phase] += 1
            cells.append(Cell(rows[box.phase], column))
            rows[box.phase] += any(number in boxes[other].sources for other in beside)
    lowest = max(cells[source].row for source in _boxes(diagram.score[0]))
    looked = None if diagram.attention is None else Cell(max(cells[s].row for s in _boxes(diagram.attention[0])), 1)
    return Grid(tuple(cells), Cell(lowest + 1, 0), looked)


def _beside(boxes: Sequence[Box]) -> set[int]:
    """Boxes of one side that sample a scale while their side goes on; all members of such a list."""
    consumers = {number: [box for box in boxes if number in box.sources] for number in range(len(boxes))}

    def samples(number: int, box: Box) -> bool:
        goes_on = [other for source in _boxes(box.sources) for other in consumers[source] if other.phase == box.phase]
        return box.phase != "pairs" and len(goes_on) > 1 and all(o.phase == "pairs" for o in consumers[number])

    found = [box for number, box in enumerate(boxes) if samples(number, box)]
    lists = {(box.phase, _list_of(box)) for box in found}
    return {number for number, box in enumerate(boxes) if box.paths and (box.phase, _list_of(box)) in lists}


def _list_of(box: Box) -> str:
    return box.paths[0].rpartition(".")[0]


def _boxes(sources: frozenset[Source]) -> list[int]:
    return [source for source in sources if isinstance(source, int)]
