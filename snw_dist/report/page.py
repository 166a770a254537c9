"""What a report says, as plain data without any drawing: a page of sections, a section of blocks.

Texts are plain: what comes from files (ids, sequences, names) is escaped where it is drawn. `**word**` in a text of a
`Says` or below a figure stands out, which is where a term is explained.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal, TypeAlias

from snw_dist.report.marks import Panel

Cell: TypeAlias = str | int | float | None


@dataclasses.dataclass(frozen=True)
class Says:
    """A paragraph, or with a `tone` a box that is seen at once."""

    text: str
    tone: Literal["plain", "good", "bad", "warning"] = "plain"


@dataclasses.dataclass(frozen=True)
class Fact:
    """One number that is seen first, with what it is."""

    name: str
    value: str
    says: str = ""


@dataclasses.dataclass(frozen=True)
class Facts:
    """Numbers beside each other."""

    facts: Sequence[Fact]


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table."""

    name: str
    digits: int | None = None
    """Decimals of its numbers; None: whole numbers, or text."""
    mono: bool = False
    """For sequences and digests."""
    longest: int | None = None
    """Letters that the page shows of its text; the CSV file has all."""


@dataclasses.dataclass(frozen=True)
class Table:
    """A table that the reader can sort; a long one scrolls, and its rows can be searched."""

    name: str
    """Of its CSV file; letters, digits and _."""
    title: str
    says: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    """None is an empty cell."""
    most: int = 1000
    """Rows that the page shows; the CSV file has all."""


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure: panels with one legend, and below them what they show and how to read it."""

    name: str
    """Of its SVG and CSV files; letters, digits and _."""
    title: str
    says: str
    panels: Sequence[Panel]


@dataclasses.dataclass(frozen=True)
class Drawing:
    """A picture that another room has drawn. Its text is put into the page as it is: it must be ours, and safe."""

    name: str
    """Of its SVG file; letters, digits and _."""
    title: str
    says: str
    svg: str


@dataclasses.dataclass(frozen=True)
class Commands:
    """Lines to be typed."""

    lines: Sequence[str]


Block: TypeAlias = Says | Facts | Table | Figure | Drawing | Commands


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the page, in the list of contents."""

    name: str
    """Its address in the page; letters, digits and -."""
    title: str
    blocks: Sequence[Block]


@dataclasses.dataclass(frozen=True)
class Page:
    """A report."""

    title: str
    answer: str
    """The one sentence that the reader came for."""
    tone: Literal["plain", "good", "bad", "warning"]
    about: Sequence[tuple[str, str]]
    """Such as (network, pseudo_siamese): what the page is of."""
    warnings: Sequence[str]
    """What must be known before any number is read."""
    sections: Sequence[Section]
