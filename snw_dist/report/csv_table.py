"""The numbers of a figure, or of a table, as CSV: what is drawn can be drawn again elsewhere."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hpc.shown import spreadsheet_cell
from snw_dist.report.marks import Bars, Grid, Lines, Mark, Panel, Points
from snw_dist.report.page import Table

HEADER = ("panel", "mark", "x", "y", "low", "high", "text")


def figure_csv(panels: Sequence[Panel]) -> str:
    """A row for each point, bar, cell or rule; of a bar, x and y are its place and its length.

    Text that a spreadsheet would run as a formula has an apostrophe in front.
    """
    rows = ([panel.title, mark.name, *row] for panel in panels for mark in panel.marks for row in _rows(mark, panel))
    return _text(HEADER, rows)


def table_csv(table: Table) -> str:
    """All rows of a table, also those that the page does not show."""
    return _text([column.name for column in table.columns], table.rows)


def _text(header: Sequence[str], rows: Any) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow([spreadsheet_cell(cell) if isinstance(cell, str) else _number(cell) for cell in row])
    return buffer.getvalue()


def _number(value: Any) -> Any:
    return "" if value is None or value != value else value


def _rows(mark: Mark, panel: Panel) -> Iterator[list[Any]]:
    if isinstance(mark, Lines | Points):
        ends = [[None] * mark.x.size if end is None else end.tolist() for end in (mark.low, mark.high)]
        texts = mark.texts if isinstance(mark, Points) and mark.texts else [None] * mark.x.size
        for row in zip(mark.x.tolist(), mark.y.tolist(), *ends, texts, strict=True):
            yield list(row)
    elif isinstance(mark, Bars):
        texts = mark.texts or [None] * mark.at.size
        for at, length, text in zip(mark.at.tolist(), mark.length.tolist(), texts, strict=True):
            yield [at, length, None, None, text]
    elif isinstance(mark, Grid):
        for (down, across), value in np.ndenumerate(mark.values):
            names = [axis.names[at] if axis.names else at for axis, at in ((panel.x, across), (panel.y, down))]
            yield [*names, None, None, float(value)]
    else:
        texts = mark.texts or [None] * len(mark.at)
        for at, text in zip(mark.at, texts, strict=True):
            yield [at, None, None, None, text] if mark.upright else [None, at, None, None, text]
