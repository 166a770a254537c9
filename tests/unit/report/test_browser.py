"""The report in a real browser: it draws without an error, nothing lies over anything else, and it can be used."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from snw_dist.report.run.files import RunFiles
from snw_dist.report.run.page import run_page
from snw_dist.report.write import write_report

pytestmark = pytest.mark.browser
WIDTHS = (1280, 390)
OVERLAPS = """
() => {
  const found = [], texts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, parent = node.parentElement;
    if (!node.textContent.trim() || parent.closest("script, style, .scroll, .skip, .printed, pre")) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects()) if (box.width > 1) texts.push([box, node.textContent.trim(), parent]);
  }
  texts.sort((a, b) => a[0].top - b[0].top);
  texts.forEach(([one, text, parent], i) => {
    const beside = one.right > innerWidth + 1 || one.left < -1;
    if (beside && !parent.closest(".panel.wide")) found.push(`beside the page: ${text}`);
    for (let j = i + 1; j < texts.length && texts[j][0].top < one.bottom - 3; j++) {
      const [other, name, owner] = texts[j];
      const over = Math.min(one.right, other.right) - Math.max(one.left, other.left);
      const deep = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
      if (over > 1.5 && deep > 3.5 && owner !== parent) found.push(`${text} | ${name}`);
    }
  });
  return found;
}
"""
WITHOUT_MARKS = """
() => [...document.querySelectorAll(".plot")].filter((plot) =>
  ![...plot.querySelectorAll(".plot path, .plot image")].some((mark) => mark.getBoundingClientRect().width > 2)
).map((plot) => `${plot.dataset.figure} ${plot.dataset.panel}`)
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as started:
        program = shutil.which("chromium")
        assert program, "no Chromium here: .ci/system gets it"
        found = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def report(run: RunFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(run_page(run), tmp_path_factory.mktemp("drawn") / "report.html")


@pytest.fixture(scope="module")
def opened(browser: Browser, report: Path) -> Page:
    """One page for all tests that use it; they leave it as the next one can use it."""
    return drawn(browser.new_page(viewport={"width": 1280, "height": 800}), report)


def drawn(page: Page, report: Path) -> Page:
    page.goto(report.as_uri())
    page.wait_for_function("document.documentElement.dataset.drawnMs", timeout=60_000)
    return page


@pytest.mark.parametrize("width", WIDTHS)
def test_a_report_is_drawn(browser: Browser, report: Path, width: int) -> None:
    """No error, no word to the network, a mark in every panel, no text over another, and nothing beside the page."""
    said, asked = list[str](), list[str]()
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url.partition(":")[0]))
    drawn(page, report)
    assert said == []
    assert set(asked) <= {"file", "data", "blob"}
    assert page.locator(".plot").count() >= 20
    assert page.evaluate(WITHOUT_MARKS) == []
    assert page.evaluate(OVERLAPS) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("window.hacked") is None
    page.close()


WATCH = """
window.order = [];
new MutationObserver((all) => all.forEach(({target}) => target.classList.contains("drawn") && order.push(target.id)))
  .observe(document, {subtree: true, attributes: true, attributeFilter: ["class"]});
addEventListener("DOMContentLoaded", () => {
  window.height = document.body.scrollHeight;
  document.getElementById("learning_loss").scrollIntoView();
});
"""


def test_what_is_in_the_window_is_drawn_first_and_nothing_moves(browser: Browser, report: Path) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 500}, reduced_motion="reduce")
    page.add_init_script(WATCH)
    drawn(page, report)
    order = page.evaluate("order")
    assert order[0] == "learning_loss"
    assert sorted(order) == sorted(
        page.evaluate("[...document.querySelectorAll('figure:has(.plot)')].map(({id}) => id)")
    )
    times = page.evaluate("document.documentElement.dataset")
    assert 0 < int(times["seenMs"]) < int(times["drawnMs"])
    assert page.evaluate("document.body.scrollHeight - height") == 0
    page.close()


def test_a_browser_that_cannot_unpack_shows_the_pictures(browser: Browser, report: Path) -> None:
    page = browser.new_page()
    said = list[str]()
    page.on("pageerror", lambda error: said.append(str(error)))
    page.add_init_script("delete window.DecompressionStream")
    drawn(page, report)
    assert said == []
    stills = page.locator("img.still").all()
    assert len(stills) == page.locator("figure").count()
    for still in stills:
        still.evaluate("one => one.scrollIntoView()")  # far from the window a picture is not loaded, and has no height
        still.wait_for(state="visible")
    assert page.locator(".plot:visible").count() == 0
    page.close()


def test_it_is_used_by_keyboard(opened: Page) -> None:
    table = opened.locator("#quality_receptors_table")
    pairs = table.locator("tbody tr td:nth-child(3)")
    table.get_by_role("button", name="pairs").focus()
    for sign in (1, -1):
        opened.keyboard.press("Enter")
        counts = [int(text) for text in pairs.all_inner_texts()]
        assert counts == sorted(counts, key=lambda count: sign * count)
    table.get_by_role("searchbox").fill("R*03")
    shown = table.locator("tbody tr:visible td:first-child").all_inner_texts()
    assert set(shown) == {"R*03:01"}
    entry = opened.locator("#quality_controls .legend button").first
    marks = opened.locator("#quality_controls .plot .scatterlayer .trace")
    before = marks.count()
    entry.focus()
    opened.keyboard.press("Space")
    assert entry.get_attribute("aria-pressed") == "false"
    opened.wait_for_function(
        f"document.querySelectorAll('#quality_controls .plot .scatterlayer .trace').length < {before}"
    )


def test_both_themes(opened: Page) -> None:
    ticks = "document.querySelector('.plot .xtick text').style.fill"
    paint = f"getComputedStyle(document.body).backgroundColor + {ticks}"
    light = opened.evaluate(paint)
    opened.locator(".theme").focus()
    opened.keyboard.press("Enter")
    assert opened.evaluate("document.documentElement.dataset.theme") == "dark"
    opened.wait_for_function(f"!'{light}'.includes({ticks})")
    dark = opened.evaluate(paint)
    assert "rgb(255, 255, 255)" in light
    assert not set(light.replace(")", "(").split("(")[1::2]) & set(dark.replace(")", "(").split("(")[1::2])


def test_print_shows_the_pictures(opened: Page) -> None:
    """As SVG, on white, whatever the theme of the screen is."""
    still, plot = opened.locator("img.still").first, opened.locator(".plot").first
    assert plot.is_visible()
    assert not still.is_visible()
    opened.emulate_media(media="print")
    assert not plot.is_visible()
    assert still.is_visible()
    assert opened.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert opened.evaluate("[...document.images].every((image) => image.naturalWidth > 100)")
    opened.emulate_media(media="screen")
    opened.evaluate("document.documentElement.dataset.theme = 'dark'; dispatchEvent(new Event('beforeprint'))")
    assert opened.evaluate("document.documentElement.dataset.theme") == "light"
    opened.evaluate("dispatchEvent(new Event('afterprint'))")
    assert opened.evaluate("document.documentElement.dataset.theme") == "dark"


def test_without_scripts_the_pictures_are_there(browser: Browser, report: Path) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.goto(report.as_uri())
    assert page.locator("img.still:visible").count() == page.locator("figure").count()
    assert page.locator(".theme:visible, .search:visible").count() == 0
    page.close()


def test_that_an_overlap_is_seen(opened: Page) -> None:
    opened.evaluate("document.querySelector('figcaption').style.marginTop = '-40px'")
    assert opened.evaluate(OVERLAPS)
    opened.evaluate("document.querySelectorAll('.plot')[3].querySelectorAll('path').forEach((mark) => mark.remove())")
    assert len(opened.evaluate(WITHOUT_MARKS)) == 1
