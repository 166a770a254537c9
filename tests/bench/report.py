"""How large a report is, and how long it takes to make and to draw.

`python -m tests.bench.report` makes up a run of 10^6 pairs; with `--page FILE` pages that are there are drawn.
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from playwright.sync_api import Browser, sync_playwright

from snw_dist.report.marks import Axis, Panel, Points
from snw_dist.report.page import Figure, Page, Section
from snw_dist.report.run.page import run_page
from snw_dist.report.write import write_report
from tests.kit.report_tools import reported

WIDTHS = (1280, 390)


class Drawn(NamedTuple):
    """Seconds by the clock, from opening, until the figures in the window and until all are drawn; and those of a
    processor that the main thread of the page took. Where other work is done too, the last says more."""

    seen_s: float
    all_s: float
    processor_s: float


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pairs", type=int, default=1_000_000)
    options.add_argument("--receptors", type=int, default=1_000)
    options.add_argument("--to", type=Path, help="an .html file that is kept")
    options.add_argument("--page", type=Path, nargs="+", help="pages that are there, in place of a made-up run")
    options.add_argument("--repeats", type=int, default=5)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made = [] if given.page else [made_up(Path(folder), given.pairs, given.receptors, given.to)]
        point = Points("a point", np.zeros(1), np.zeros(1))
        least = Figure("least", "The least figure", "One point.", [Panel((point,), Axis(), Axis())])
        limit = Page("Limit", "One point.", "plain", [], [], [Section("all", "All", [least])])
        pages = [write_report(limit, Path(folder) / "one_point.html"), *(given.page or made)]
        print(f"{'':34}{'in the window':>15}{'all':>8}{'processor':>11}   (s, medians of {given.repeats})")
        for path in pages:
            for width in WIDTHS:
                found = median(path.resolve(), width, given.repeats)
                name = f"{path.stem[:20]}, {path.stat().st_size / 1e6:.1f} MB, {width} px"
                print(f"{name:34}{found.seen_s:15.2f}{found.all_s:8.2f}{found.processor_s:11.2f}", flush=True)


def made_up(folder: Path, pairs: int, receptors: int, to: Path | None) -> Path:
    """The report of a made-up run; says how long it took to make."""
    run = reported(folder, pairs, receptors)
    started, used = time.monotonic(), time.process_time()
    path = write_report(run_page(run), to or folder / "report.html")
    took, busy = time.monotonic() - started, time.process_time() - used
    print(f"{pairs:,} pairs, {receptors:,} receptors: {path.stat().st_size / 1e6:.2f} MB, ", end="")
    print(f"made in {took:.1f} s ({busy:.1f} s of processor)")
    return path


def median(path: Path, width: int, repeats: int) -> Drawn:
    """Of several openings in a headless Chromium, at the first figure of the page."""
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        found = [drawn_in(browser, path, width) for _ in range(repeats)]
        browser.close()
    return Drawn(*(statistics.median(column) for column in zip(*found, strict=True)))


def drawn_in(browser: Browser, path: Path, width: int) -> Drawn:
    """One opening, with nothing kept from another."""
    context = browser.new_context(viewport={"width": width, "height": 800}, reduced_motion="reduce")
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    first = re.search(r'<figure id="([^"]+)"', path.read_text(encoding="utf-8"))
    page.goto(f"{path.as_uri()}#{first[1] if first else ''}")
    page.wait_for_function("document.documentElement.dataset.drawnMs", timeout=120_000)
    told = page.evaluate("({...document.documentElement.dataset})")
    figures = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    context.close()
    seen = float(told.get("seenMs", "nan"))  # a page of an older version does not say it
    return Drawn(seen / 1000, float(told["drawnMs"]) / 1000, float(figures["TaskDuration"]))


if __name__ == "__main__":
    main()
