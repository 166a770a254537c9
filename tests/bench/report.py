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
        started, used = time.monotonic(), time.process_time()
        path = write_report(run_page(run), given.to or Path(folder) / "report.html")
        took, busy = time.monotonic() - started, time.process_time() - used
        print(f"{given.pairs:,} pairs, {given.receptors:,} receptors: {path.stat().st_size / 1e6:.2f} MB, ", end="")
        print(f"made in {took:.1f} s ({busy:.1f} s of processor)")
        for width in (1280, 390):
            seconds, processor = drawn_in(path, width)
            print(f"drawn at {width} pixels in {seconds:.1f} s ({processor:.1f} s of processor)")


def drawn_in(path: Path, width: int) -> tuple[float, float]:
    """Seconds until the last figure is drawn in a headless Chromium, and those of a processor that its page took.

    On a machine that does other things too the second says more.
    """
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 800})
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.goto(path.as_uri())
        page.wait_for_function("document.documentElement.dataset.drawnMs", timeout=120_000)
        figures = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
        return float(page.evaluate("document.documentElement.dataset.drawnMs")) / 1000, float(figures["TaskDuration"])


if __name__ == "__main__":
    main()
