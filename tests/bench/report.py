"""How large a report is, and how long it takes to make and to draw: `python -m tests.bench.report --pairs 1000000`."""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from snw_dist.report.run.page import run_page
from snw_dist.report.write import write_report
from tests.kit.report_tools import reported


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pairs", type=int, default=1_000_000)
    options.add_argument("--receptors", type=int, default=1_000)
    options.add_argument("--to", type=Path, help="an .html file that is kept")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = reported(Path(folder), given.pairs, given.receptors)
        started, processor = time.monotonic(), time.process_time()
        path = write_report(run_page(run), given.to or Path(folder) / "report.html")
        took, busy = time.monotonic() - started, time.process_time() - processor
        print(f"{given.pairs:,} pairs, {given.receptors:,} receptors: {path.stat().st_size / 1e6:.2f} MB, ", end="")
        print(f"made in {took:.1f} s ({busy:.1f} s of processor)")
        for width in (1280, 390):
            print(f"drawn at {width} pixels in {drawn_in(path, width):,.0f} ms")


def drawn_in(path: Path, width: int) -> float:
    """Milliseconds from the first script to the last figure, in a headless Chromium."""
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 800})
        page.goto(path.as_uri())
        page.wait_for_function("document.documentElement.dataset.drawnMs", timeout=120_000)
        return float(page.evaluate("document.documentElement.dataset.drawnMs"))


if __name__ == "__main__":
    main()
