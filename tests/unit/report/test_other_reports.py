"""The reports of a comparison and of a screen, maps and attention, in a real browser: see `test_browser`."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from snw_dist.evaluate.compare.runs import COMPARISON
from snw_dist.report.attention.section import attention_section
from snw_dist.report.comparison.page import report_comparison
from snw_dist.report.map.section import map_section
from snw_dist.report.page import Page, Section
from snw_dist.report.run.files import read_run
from snw_dist.report.screening.page import screen_page
from snw_dist.report.write import write_report
from tests.kit.bundle_tools import measured_run, with_model
from tests.kit.comparisons import fold
from tests.unit.report.screening.conftest import made_screens
from tests.unit.report.test_browser import OVERLAPS, WIDTHS, WITHOUT_MARKS, browser, drawn  # noqa: F401 - a fixture

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("others")
    fold().write(folder / "x" / "compare" / COMPARISON)
    screens = made_screens(folder / "screens")
    files = read_run(measured_run(folder, **with_model("cross_attention")))
    sections: list[Section] = [map_section(files), *filter(None, [attention_section(files)])]
    return [
        report_comparison(folder / "x"),
        write_report(screen_page(screens.promised, screens.known), folder / "screen.html"),
        write_report(Page("A run", "An answer.", "good", [], [], sections), folder / "map.html"),
    ]


@pytest.mark.parametrize("width", WIDTHS)
def test_they_are_drawn(browser: Browser, reports: list[Path], width: int) -> None:  # noqa: F811
    """No error, a mark in every panel, no text over another, and nothing beside the page but what scrolls."""
    for report in reports:
        said = list[str]()
        page = browser.new_page(viewport={"width": width, "height": 800})
        page.on("console", lambda message, said=said: said.append(message.text))
        page.on("pageerror", lambda error, said=said: said.append(str(error)))
        drawn(page, report)
        assert said == []
        assert page.locator(".plot").count() >= 4
        assert page.evaluate(WITHOUT_MARKS) == [], report
        assert page.evaluate(OVERLAPS) == [], report
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.close()
