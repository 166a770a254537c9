"""A page as one HTML file that opens without network, and the files beside it: each figure as SVG, its numbers as CSV.

plotly's program is put in once, packed (2 MB in place of 5), and unpacked by the browser. Where no script may run, and
in print, the page shows the SVGs, which are in it too.
"""

from __future__ import annotations

import base64
import functools
import gzip
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from plotly.offline import get_plotlyjs

from hpc.shown import printable
from snw_dist.report import palette
from snw_dist.report.csv_table import figure_csv, table_csv
from snw_dist.report.marks import Bars, Grid, Mark, Panel, Points
from snw_dist.report.page import Cell, Column, Drawing, Figure, Page, Table
from snw_dist.report.plotly_drawing import legend_of, plotly_panel
from snw_dist.report.svg_drawing import svg
from snw_dist.report.thin import thinned

_TEMPLATES = Path(__file__).parent / "templates"
_SHORT = 24
"""Letters of a cell that is never broken."""
_MANY_NAMES = 12
"""On an axis along the page; more need room of their own."""
_SCALE = 56
"""Pixels of the scale of colours above a heat map."""
_BOLD = re.compile(r"\*\*(.+?)\*\*")
_SYMBOLS = {
    "circle": '<circle cx="12" cy="7" r="4.5"/>',
    "square": '<rect x="8" y="3" width="8" height="8"/>',
    "diamond": '<path d="M12 1.5 17 7 12 12.5 7 7z"/>',
    "triangle-up": '<path d="M12 2 17 11.5H7z"/>',
    "x": '<path d="M8 3l8 8M16 3l-8 8" stroke-width="2.4"/>',
    "cross": '<path d="M12 2v10M7 7h10" stroke-width="2.6"/>',
    "star": '<path d="M12 1l1.8 4 4.2.4-3.2 2.8 1 4.3L12 10.2 8.2 12.5l1-4.3L6 5.4l4.2-.4z"/>',
}


def rendered(page: Page, folder: str) -> tuple[str, dict[str, bytes]]:
    """The text of the page, and the files that it links to: their names in `folder` beside it, and their bytes."""
    files: dict[str, bytes] = {}
    figures: dict[str, list[dict[str, Any]]] = {}
    stills, notes = dict[str, str](), dict[str, list[str]]()
    for block in (block for section in page.sections for block in section.blocks):
        if isinstance(block, Table):
            files[f"{block.name}.csv"] = table_csv(block).encode()
        elif isinstance(block, Drawing):
            files[f"{block.name}.svg"] = block.svg.encode()
        elif isinstance(block, Figure):
            assert block.name not in figures, f"two figures {block.name}"
            few = [thinned(panel) for panel in block.panels]
            panels = [panel for panel, _ in few]
            notes[block.name] = list(dict.fromkeys(note for _, note in few if note))
            drawn = svg(block.title, panels)
            files |= {f"{block.name}.svg": drawn, f"{block.name}.csv": figure_csv(panels).encode()}
            stills[block.name] = f"data:image/svg+xml;base64,{base64.b64encode(drawn).decode()}"
            figures[block.name] = [plotly_panel(panel) for panel in panels]
    shared = {"figures": figures, "shades": palette.SHADES, "colours": len(palette.ON_WHITE)}
    text = (
        _environment()
        .get_template("page.html.jinja")
        .render(
            page=page,
            folder=folder,
            style=Markup(_environment().get_template("style.css").render(_colours())),
            script=Markup((_TEMPLATES / "script.js").read_text(encoding="utf-8")),
            data=json_in_html(shared),
            plotly=_packed_plotly() if figures else "",
            stills=stills,
            notes=notes,
        )
    )
    return text, files


def json_in_html(value: Any) -> Markup:
    """JSON for a `<script>`: nothing in it can end the element or begin another."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


@functools.cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"marked": marked, "unmarked": lambda text: text.replace("**", "")}
    made.globals |= {
        "as_it_is": Markup,
        "kind": lambda block: type(block).__name__.lower(),
        "legend_of": legend_of,
        "swatch": swatch,
        "shown": shown,
        "is_number": is_number,
        "class_of": class_of,
        "style_of": style_of,
    }
    return made


def _colours() -> dict[str, Any]:
    light = {"on_white": palette.ON_WHITE, "grey_on_white": palette.GREY_ON_WHITE}
    return light | {"on_dark": palette.ON_DARK, "grey_on_dark": palette.GREY_ON_DARK}


@functools.cache
def _packed_plotly() -> str:
    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), 9, mtime=0)).decode()


def marked(text: str) -> Markup:
    """Plain text, escaped, in which `**word**` stands out."""
    return Markup(_BOLD.sub(r"<strong>\1</strong>", str(escape(printable(text)))))


def shown(cell: Cell, column: Column) -> str:
    """A cell as it is read."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    if isinstance(cell, str):
        text, most = printable(cell), column.longest or len(cell) + 1
        return text if len(cell) <= most else f"{text[: most - most // 2]}…{text[-(most // 2) :]} ({len(cell):,})"
    return f"{cell:,.{column.digits}f}" if column.digits is not None else f"{cell:,}"


def is_number(table: Table, column: int) -> bool:
    """Whether no cell of a column is text."""
    return bool(table.rows) and not any(isinstance(row[column], str) for row in table.rows[:50])


def class_of(table: Table, row: Sequence[Cell], column: int) -> Markup:
    """What a cell is, for the style: a number, a sequence, or a short name that is kept on one line."""
    if is_number(table, column):
        return Markup(' class="number"')
    if table.columns[column].mono:
        return Markup(' class="mono"')
    return Markup(' class="name"') if len(str(row[column])) <= _SHORT else Markup("")


def style_of(panel: Panel) -> Markup:
    """The size of a panel where the style sheet does not know it; many names on x keep their room, and it scrolls."""
    scale = _SCALE * any(isinstance(mark, Grid) for mark in panel.marks)
    height = f"height: {panel.height + scale}px" if panel.height and not panel.square else ""
    width = f"min-width: {9 + len(panel.x.names)}rem" if len(panel.x.names) > _MANY_NAMES else ""
    told = "; ".join(filter(None, (height, width)))
    return Markup(f' style="{told}"') if told else Markup("")


def swatch(mark: Mark) -> Markup:
    """A mark as it looks in a legend: colour, and shape or dashes."""
    number = getattr(mark, "colour", 0)
    colour = "grey" if number < 0 else f"c{number % len(palette.ON_WHITE)}"
    if isinstance(mark, Bars):
        inner = '<rect x="6" y="2" width="12" height="10"/>'
    elif isinstance(mark, Points):
        inner = _SYMBOLS[palette.shape(mark.colour)]
    else:
        dashes = {"solid": "none", "dash": "5 3", "dot": "2 2.5"}[mark.style]  # type: ignore[union-attr]
        inner = f'<path d="M1 7h22" stroke-width="2.5" stroke-dasharray="{dashes}"/>'
    style = f'class="{colour}" fill="currentColor" stroke="currentColor"'
    return Markup(f'<svg width="24" height="14" aria-hidden="true" {style}>{inner}</svg>')
