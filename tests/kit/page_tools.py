"""What tests of reports ask of a page, before and after it is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import numpy as np

from snw_dist.report.marks import Grid, Points
from snw_dist.report.page import Block, Figure, Page, Says, Section, Table
from snw_dist.report.write import write_report

Kind = TypeVar("Kind", bound=Block)


def blocks_of(page: Page) -> list[Block]:
    return [block for section in page.sections for block in section.blocks]


def named(page: Page, kind: type[Kind], name: str) -> Kind:
    """The figure or table of a name."""
    [found] = [block for block in blocks_of(page) if isinstance(block, kind) and getattr(block, "name", "") == name]
    return found


def of_section(section: Section) -> Page:
    """A page of this section alone."""
    return Page("A section", "An answer.", "plain", [], [], [section])


def points_of(figure: Figure) -> list[Points]:
    return [mark for panel in figure.panels for mark in panel.marks if isinstance(mark, Points)]


def grid_of(figure: Figure) -> Grid:
    [found] = [mark for panel in figure.panels for mark in panel.marks if isinstance(mark, Grid)]
    return found


def text_of(page: Page) -> str:
    """All that the page says in words."""
    said = [block.text if isinstance(block, Says) else getattr(block, "says", "") for block in blocks_of(page)]
    return "\n".join([page.answer, *page.warnings, *said])


def check_drawn(page: Page, to: Path) -> str:
    """Draw it: no two things have one address, every figure has marks and its files, every cell can be shown."""
    names = [section.name for section in page.sections]
    names += [block.name for block in blocks_of(page) if isinstance(block, Figure | Table)]
    assert len(set(names)) == len(names), sorted(names)
    for block in blocks_of(page):
        if isinstance(block, Figure):
            assert all(panel.marks for panel in block.panels), block.name
            assert all(np.isfinite(mark.x).all() for mark in points_of(block)), block.name
        if isinstance(block, Table):
            assert all(len(row) == len(block.columns) for row in block.rows), block.name
    text = write_report(page, to).read_text(encoding="utf-8")
    for block in blocks_of(page):
        if isinstance(block, Figure):
            assert {(to.with_suffix("") / f"{block.name}.{kind}").is_file() for kind in ("svg", "csv")} == {True}
    return text
