"""From rows and columns to pixels: the whole picture of a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from snw_dist.inspect.amounts import amounts
from snw_dist.inspect.arrows import arrow
from snw_dist.inspect.diagram import Box, Diagram
from snw_dist.inspect.layout import ENCODER, INPUT, SIDES, Cell, Grid, grid_of
from snw_dist.inspect.origins import Source
from snw_dist.inspect.scene import Line, Rect, Role, Scene, Text

WIDTH, GAP, BETWEEN_SIDES = 214.0, 44.0, 132.0
"""Of a column, between two columns, and between the sides where no column is between them."""
INDENT = 36.0
"""How far an inner box is moved."""
_MARGIN, _LINE, _PADDING, _HEADING = 28.0, 16.0, 10.0, 64.0
_ROW_GAP, _FRAME, _FRAME_TITLE = 32.0, 13.0, 22.0


@dataclass(frozen=True)
class Heading:
    """Texts that are not of a diagram: a title and what is below it, and what is said of the encoder."""

    title: str
    below: tuple[str, ...]
    encoder: tuple[str, ...]
    foot: tuple[str, ...]


@dataclass(frozen=True)
class _Item:
    """A rectangle to be, with its texts: the first is its title."""

    cell: Cell
    look: str
    texts: tuple[str, ...]
    amounts: str = ""
    """The last line."""
    count: int = 1


def scene_of(diagram: Diagram, heading: Heading) -> Scene:
    """Everything in its place."""
    grid = grid_of(diagram)
    items = _items(diagram, grid, heading)
    frames = _frames(diagram, grid)
    lefts = _lefts(grid)
    tops, heights = _rows(items, frames)
    rects = [_rect(item, lefts, tops, heights) for item in items]
    boxes, ends = rects[: len(diagram.boxes)], rects[len(diagram.boxes) :]
    framed = [_framed([boxes[i] for i in inside]) for _, inside in frames]
    texts = [text for item, rect in zip(items, rects, strict=True) for text in _texts(item, rect)]
    for (title, _), rect in zip(frames, framed, strict=True):
        texts.append(Text(rect.x + _FRAME, rect.y + 17, title, "quiet"))
    lines = _arrows(diagram, grid, boxes, ends)
    shared = [rect for (_, inside), rect in zip(frames, framed, strict=True) if diagram.boxes[inside[0]].shared]
    if len(shared) == 2:
        level = boxes[frames[0][1][0]].middle[1]
        lines.append(Line(((shared[0].right, level), (shared[1].x, level)), arrow=False))
        texts.append(Text((shared[0].right + shared[1].x) / 2, level - 7, "same weights", "quiet", "middle"))
    width = max(rect.right for rect in [*rects, *framed]) + _MARGIN
    foot = max(rect.bottom for rect in rects) + 34
    texts += [Text(_MARGIN, 34, heading.title, "strong")]
    texts += [Text(_MARGIN, 34 + _LINE * (1 + n), line, "quiet") for n, line in enumerate(heading.below)]
    texts += [Text(_MARGIN, foot + _LINE * n, line, "quiet") for n, line in enumerate(heading.foot)]
    height = foot + _LINE * len(heading.foot)
    return Scene(heading.title, width, height, (*framed, *rects), tuple(lines), tuple(texts))


def _items(diagram: Diagram, grid: Grid, heading: Heading) -> list[_Item]:
    """The boxes of the diagram, then ligand, receptor, encoder, score, and the attention where there is one."""
    items = [_block(box, cell) for box, cell in zip(diagram.boxes, grid.cells, strict=True)]
    for side, column in zip(SIDES, (-1, 1), strict=True):
        shape = f"N_{side} × L_{side} residues"
        items.append(_Item(Cell(INPUT, column), "end", (f"{side.capitalize()}s", shape)))
    items.append(_Item(Cell(ENCODER, 0), "encoder", heading.encoder))
    items.append(_Item(grid.score, "end", ("Score, 0 to 1", " × ".join(diagram.score[1]))))
    if diagram.attention is not None and grid.attention is not None:
        items.append(_Item(grid.attention, "end", ("Attention map", " × ".join(diagram.attention[1]))))
    return items


def _block(box: Box, cell: Cell) -> _Item:
    shapes = tuple(" × ".join(shape) for shape in box.shapes)
    same = box.shared and box.phase == "receptor"
    last = amounts(None if same else sum(box.parameters.values()), box.flops)
    texts = tuple(text for text in (box.words.title, box.words.detail, *shapes) if text)
    return _Item(cell, box.words.kind, texts, last, max(1, len(box.paths)))


def _frames(diagram: Diagram, grid: Grid) -> list[tuple[str, list[int]]]:
    """The title of each frame and the boxes in it: what one tower or encoder holds, or what both sides share."""
    found = []
    for side in SIDES:
        own = [(n, box) for n, box in enumerate(diagram.boxes) if box.phase == side]
        shared = [n for n, box in own if box.shared]
        frame = next((box.frame for _, box in own), "")
        inside = shared or [n for n, box in own if frame and box.frame == frame]
        name = frame.rpartition(".")[2].replace("_", " ") or "encoder"
        if inside:
            found.append((f"Shared {name}" if shared else name.capitalize(), inside))
    return found


def _lefts(grid: Grid) -> dict[int, float]:
    """Left edge of each column."""
    start = _MARGIN + _FRAME
    if not grid.apart:
        return {-1: start, 1: start + WIDTH + BETWEEN_SIDES, 0: start + (WIDTH + BETWEEN_SIDES) / 2}
    gap = GAP + INDENT * any(cell.inner for cell in grid.cells)
    return {column: start + number * (WIDTH + gap) for number, column in enumerate(grid.columns)}


def _rows(items: Sequence[_Item], frames: Sequence[tuple[str, list[int]]]) -> tuple[list[float], list[float]]:
    """Top and height of each row; there is more room where a frame begins or ends."""
    inside = [[items[n].cell.row for n in members] for _, members in frames]
    begins, ends = {min(rows) for rows in inside}, {max(rows) + 1 for rows in inside}
    tops, heights, y = [], [], _HEADING + _LINE
    for row in range(max(item.cell.row for item in items) + 1):
        y += (_FRAME_TITLE if row in begins else 0) + (_FRAME / 2 if row in ends else 0)
        heights.append(max(_height(item) for item in items if item.cell.row == row))
        tops.append(y)
        y += heights[-1] + _ROW_GAP
    return tops, heights


def _height(item: _Item) -> float:
    return 2 * _PADDING + _LINE * (len(item.texts) + bool(item.amounts)) - 4


def _rect(item: _Item, lefts: dict[int, float], tops: list[float], heights: list[float]) -> Rect:
    """Blocks fill their row; what goes in or comes out stands in the middle of it; the encoder is as wide as all."""
    x, row = lefts.get(item.cell.column, 0.0) - INDENT * item.cell.inner * item.cell.column, item.cell.row
    if item.look == "encoder":
        return Rect(lefts[-1], tops[row], lefts[1] + WIDTH - lefts[-1], heights[row], item.look)
    if item.look == "end":
        height = _height(item)
        return Rect(x, tops[row] + (heights[row] - height) / 2, WIDTH, height, item.look)
    return Rect(x, tops[row], WIDTH, heights[row], item.look)


def _texts(item: _Item, rect: Rect) -> list[Text]:
    """Left in a block, in the middle of anything else."""
    centred = item.look in ("end", "encoder")
    x, first = rect.middle[0] if centred else rect.x + 14, rect.y + _PADDING + 11
    lines: list[tuple[str, Role]] = [(text, "plain" if n else "strong") for n, text in enumerate(item.texts)]
    lines += [(item.amounts, "quiet")] if item.amounts else []
    found = [
        Text(x, first + _LINE * n, text, role, "middle" if centred else "start") for n, (text, role) in enumerate(lines)
    ]
    times = [Text(rect.right - 10, first, f"× {item.count}", "strong", "end")] if item.count > 1 else []
    return [*found, *times]


def _framed(rects: Sequence[Rect]) -> Rect:
    left, top = min(rect.x for rect in rects) - _FRAME, min(rect.y for rect in rects) - _FRAME_TITLE - 3
    right, bottom = max(rect.right for rect in rects) + _FRAME, max(rect.bottom for rect in rects) + _FRAME
    return Rect(left, top, right - left, bottom - top, "frame")


def _arrows(diagram: Diagram, grid: Grid, boxes: Sequence[Rect], ends: Sequence[Rect]) -> list[Line]:
    ligand, receptor, encoder, score, *attention = ends
    found = [arrow(ligand, encoder), arrow(receptor, encoder)]
    for number, box in enumerate(diagram.boxes):
        for source in sorted(box.sources, key=str):
            if isinstance(source, str):
                found.append(arrow(encoder, boxes[number]))
                continue
            found.append(arrow(boxes[source], boxes[number], _between(source, number, grid, boxes)))
    found += [arrow(boxes[source], score) for source in _numbers(diagram.score[0])]
    for source in _numbers(diagram.attention[0]) if diagram.attention else []:
        found.append(arrow(boxes[source], attention[0]))
    return found


def _between(source: int, number: int, grid: Grid, boxes: Sequence[Rect]) -> list[Rect]:
    """What stands between two boxes of one column."""
    start, end = grid.cells[source], grid.cells[number]
    return [
        rect
        for rect, cell in zip(boxes, grid.cells, strict=True)
        if cell.column == start.column == end.column and start.row < cell.row < end.row
    ]


def _numbers(sources: frozenset[Source]) -> list[int]:
    return sorted(source for source in sources if isinstance(source, int))
