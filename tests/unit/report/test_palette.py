"""Colours on dark paper can be seen, and no two of a palette are alike."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import snw_dist.report
from snw_dist.report.palette import GREY_ON_DARK, GREY_ON_WHITE, ON_DARK, ON_WHITE, SHAPES, shape

STYLE = (Path(snw_dist.report.__file__).parent / "templates" / "style.css").read_text()


def luminance(colour: str) -> float:
    """Of WCAG 2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_marks_are_seen_on_dark_paper_and_text_on_both() -> None:
    papers = re.findall(r"--paper: (#\w+); --sheet: (#\w+); --ink: (#\w+); --soft: (#\w+);", STYLE)
    assert len(papers) == 2
    for paper, sheet, ink, soft in papers:
        assert contrast(paper, ink) > 12
        assert min(contrast(paper, soft), contrast(sheet, soft)) > 4.5
    assert all(contrast(papers[1][0], colour) > 4.5 for colour in (*ON_DARK, GREY_ON_DARK))
    assert contrast(papers[0][0], GREY_ON_WHITE) > 4.5


def test_every_colour_has_a_shape_of_its_own() -> None:
    assert len(ON_WHITE) == len(ON_DARK) == len(SHAPES) == len({shape(i) for i in range(7)})
    assert all(one != other for colours in (ON_WHITE, ON_DARK) for one, other in itertools.combinations(colours, 2))
