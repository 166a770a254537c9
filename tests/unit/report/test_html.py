"""A page as one file: nothing from outside is markup, all it links to is there, and it asks the network for nothing."""

from __future__ import annotations

import re

import pytest

from snw_dist.report.html import json_in_html, marked, rendered, shown
from snw_dist.report.page import Column, Commands, Fact, Facts, Page, Says, Section, Table
from snw_dist.report.run.files import RunFiles
from snw_dist.report.run.page import run_page
from tests.kit.report_tools import HOSTILE, HOSTILE_IMAGE


@pytest.fixture(scope="module")
def made(run: RunFiles) -> tuple[str, dict[str, bytes]]:
    return rendered(run_page(run), "report")


def test_names_from_files_are_text(made: tuple[str, dict[str, bytes]]) -> None:
    text = re.sub(r'<script type="text/plain".*?</script>', "", made[0], flags=re.DOTALL)
    assert HOSTILE.replace("<", "&lt;").replace(">", "&gt;") in text
    assert HOSTILE not in text
    assert HOSTILE_IMAGE not in text
    assert "<img src=x" not in text
    assert len(re.findall(r"<script\b", text)) == 3  # what says that scripts run, the data, and our own


def test_all_that_is_linked_to_is_there(made: tuple[str, dict[str, bytes]]) -> None:
    text, files = made
    linked = re.findall(r'href="([^"#][^"]*)"', text)
    assert {link.removeprefix("report/") for link in linked} - {"data:,"} == set(files)
    inner, addresses = set(re.findall(r'href="#([^"]+)"', text)), re.findall(r'\bid="([^"]+)"', text)
    assert inner <= set(addresses)
    assert len(addresses) == len(set(addresses))


def test_nothing_is_fetched(made: tuple[str, dict[str, bytes]]) -> None:
    text = re.sub(r'<script type="text/plain".*?</script>', "", made[0], flags=re.DOTALL)
    assert re.findall(r'(?:src|href)="(?!data:|#|report/)', text) == []
    assert "@import" not in text
    assert not re.search(r"url\(\s*['\"]?https?:", text)


def test_plain_blocks() -> None:
    blocks = [
        *(Says("**bold** <i>", "bad"), Facts([Fact("n", "1", "of <2>")]), Commands(["a <b>"])),
        Table(
            "t",
            "T",
            "",
            [Column("name"), Column("x", 2), Column("s", mono=True, longest=4)],
            [["a", 1.234, "ABCDEFG"]],
            most=1,
        ),
    ]
    text, files = rendered(Page("P", "A", "good", [("k", "<v>")], ["w"], [Section("s", "S", blocks)]), "there")
    assert '<p class="box bad" role="note"><strong>bold</strong> &lt;i&gt;</p>' in text
    assert '<td class="number">1.23</td><td class="mono">AB…FG (7)</td>' in text
    assert "a &lt;b&gt;" in text
    assert list(files) == ["t.csv"]
    assert "ABCDEFG" in files["t.csv"].decode()
    assert len(text) < 40_000  # plotly is not in a page without figures


def test_json_cannot_end_its_element() -> None:
    assert json_in_html({"a": "</script><!--&"}) == '{"a":"\\u003c/script\\u003e\\u003c!--\\u0026"}'
    with pytest.raises(ValueError, match="JSON"):
        json_in_html(float("nan"))


def test_cells_and_marked_text() -> None:
    assert [shown(cell, Column("c", 2)) for cell in (1234.5, None, float("nan"), "a\x1b")] == [
        "1,234.50",
        "",
        "",
        "a\\x1b",
    ]
    assert shown(1234, Column("c")) == "1,234"
    assert marked("**a** & **<b>**") == "<strong>a</strong> &amp; <strong>&lt;b&gt;</strong>"


def luminance(colour: str) -> float:
    """By WCAG 2.2, of a colour such as #1b2127."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_texts_stand_out_from_their_paper_in_both_themes(made: tuple[str, dict[str, bytes]]) -> None:
    """4.5 to 1, as WCAG 2.2 wants it (AA)."""
    themes = [dict(re.findall(r"(--[\w-]+): (#\w{6})", rules)) for rules in re.findall(r":root[^{]*{([^}]*)}", made[0])]
    papers = ("paper", "sheet", "good-paper", "bad-paper", "warning-paper")
    pairs = [*(("ink", paper) for paper in papers), *((text, p) for text in ("soft", "accent") for p in papers[:2])]
    assert len(themes) >= 2
    for theme in themes[:2]:
        for text, paper in pairs:
            low, high = sorted(luminance(theme[f"--{name}"]) for name in (text, paper))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (text, paper)
