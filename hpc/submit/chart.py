"""Small charts of characters: lines of dots (braille), for terminals that cannot show these of plain letters.

Pure functions of numbers, with a width and a height in characters. Libraries that draw whole figures keep one figure
for the process and write their own colours; a chart here is a list of lines like all else that is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from rich.text import Text

from hpc.amounts import number
from hpc.curves import Curve

STYLES = ("dim cyan", "bold yellow")
"""Of the curves of a chart; the first one is the one that jumps."""
_PLAIN = (".", "*")
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bits of a braille letter, four rows of two."""
_BRAILLE = 0x2800
_LEVELS = "▁▂▃▄▅▆▇█"
_MOST_MEANS = 40
"""Points of a line, each the mean of a part of the steps: the loss of single steps jumps, which hides where it goes."""


def chart(curves: Sequence[Curve], width: int, height: int, plain: bool = False) -> list[Text]:
    """Curves over the same steps as `height` lines of `width` characters: names and last values, dots, steps.

    `curves` are at most two, none of them empty. `plain`: letters of ASCII alone.
    """
    xs, ys = [x for c in curves for x in c.x], [y for c in curves for y in c.y]
    (low_x, high_x), (low, high) = (min(xs), max(xs)), _apart(min(ys), max(ys))
    labels = [number(high), number(low)]
    margin = max(map(len, labels)) + 1
    columns, rows = max(1, width - margin), max(1, height - 2)
    across, down = (1, 1) if plain else (2, 4)
    dots = [_line(curve, (low_x, high_x), (low, high), columns * across, rows * down) for curve in curves]
    body = _letters(dots, columns, rows, plain)
    lines = [_title(curves, width, plain)]
    for row, text in enumerate(body):
        label = labels[0] if row == 0 else labels[1] if row == rows - 1 else ""
        lines.append(Text(f"{label:>{margin - 1}} ", "dim") + text)
    ends = f"{low_x:,.0f}", f"step {high_x:,.0f}"
    return [*lines, Text(f"{'':{margin}}{ends[0]}{ends[1]:>{max(0, columns - len(ends[0]))}}"[:width], "dim")]


def sparkline(values: Sequence[float], width: int, plain: bool = False) -> str:
    """A curve in one line of at most `width` characters, from its lowest to its highest value; empty for plain text."""
    if len(values) < 2 or plain:
        return ""
    low, high = _apart(min(values), max(values))
    means = [mean for mean in _means([*range(len(values))], values, (0, len(values) - 1), width) if mean is not None]
    return "".join(_LEVELS[min(7, int(8 * (mean - low) / (high - low)))] for mean in means)


def _title(curves: Sequence[Curve], width: int, plain: bool) -> Text:
    """The chart's name and the last value of each curve, in the style of its line."""
    title = Text(curves[0].chart, "bold", no_wrap=True)
    for curve, style in zip(curves, STYLES[-len(curves) :], strict=False):
        name = "" if curve.name == curves[0].chart else f"{curve.name} "
        title.append(f"  {name}{number(curve.y[-1])}", style)
    title.truncate(width, overflow="crop" if plain else "ellipsis", pad=True)
    return title


def _apart(low: float, high: float) -> tuple[float, float]:
    """Ends of an axis, also where all values are the same."""
    return (low, high) if high > low else (low - (abs(low) or 1.0) / 2, high + (abs(high) or 1.0) / 2)


def _means(xs: Sequence[float], ys: Sequence[float], ends: tuple[float, float], columns: int) -> list[float | None]:
    """The mean of what falls into each column; None where nothing does."""
    sums, counts = [0.0] * columns, [0] * columns
    span = (ends[1] - ends[0]) or 1.0
    for x, y in zip(xs, ys, strict=True):
        column = min(columns - 1, int((x - ends[0]) / span * columns))
        sums[column] += y
        counts[column] += 1
    return [total / count if count else None for total, count in zip(sums, counts, strict=True)]


def _line(
    curve: Curve, ends: tuple[float, float], limits: tuple[float, float], columns: int, rows: int
) -> set[tuple[int, int]]:
    """The dots (column, row from the top) of a curve: means, joined by straight lines."""
    low, high = limits
    parts = min(columns, _MOST_MEANS)
    points = [
        (round(part * (columns - 1) / max(1, parts - 1)), round((high - mean) / (high - low) * (rows - 1)))
        for part, mean in enumerate(_means(curve.x, curve.y, ends, parts))
        if mean is not None
    ]
    dots = set(points)
    for (column, row), (next_column, next_row) in pairwise(points):
        steps = max(next_column - column, abs(next_row - row))
        for step in range(1, steps):
            part = step / steps
            dots.add((round(column + part * (next_column - column)), round(row + part * (next_row - row))))
    return dots


def _letters(dots: Sequence[set[tuple[int, int]]], columns: int, rows: int, plain: bool) -> list[Text]:
    """Lines of letters with the dots of all curves; where two meet, the later one gives the style."""
    cells: dict[tuple[int, int], tuple[str, str]] = {}
    bits: dict[tuple[int, int], int] = {}
    styles = STYLES[-len(dots) :]
    for number_of_curve, (own, style) in enumerate(zip(dots, styles, strict=True)):
        for column, row in own:
            cell = (column, row) if plain else (column // 2, row // 4)
            if plain:
                letter = _PLAIN[-len(dots) :][number_of_curve]
            else:
                bits[cell] = bits.get(cell, 0) | _DOTS[row % 4][column % 2]
                letter = chr(_BRAILLE + bits[cell])
            cells[cell] = letter, style
    lines = []
    for row in range(rows):
        line = Text(no_wrap=True)
        for column in range(columns):
            line.append(*cells.get((column, row), (" ", "")))
        lines.append(line)
    return lines
