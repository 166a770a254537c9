"""The report of a run: its sections in their order, and the answer at the top."""

from __future__ import annotations

from pathlib import Path

from snw_dist.config import SnwConfig
from snw_dist.report.page import Page
from snw_dist.report.run.data import data_section
from snw_dist.report.run.files import RunFiles, read_run
from snw_dist.report.write import write_report

REPORT = "report.html"


def report_run(settings: SnwConfig, to: Path | None = None) -> Path:
    """Write the report of an evaluated run: `report.html` in its folder, or `to`; returns its path.

    Raises `InputError` where the run has no evaluation or no data, and `CorruptError` where what is there is damaged.
    """
    run = read_run(settings)
    return write_report(run_page(run), to or settings.run_folder / REPORT)


def run_page(run: RunFiles) -> Page:
    """The page of a run, not drawn yet."""
    provenance = run.metrics["provenance"]
    return Page(
        f"Report of run {provenance['run']}",
        "The network is not told apart from its controls.",
        "plain",
        [("network", str(provenance["network"])), ("encoder", str(provenance["encoder"]))],
        ["**Random weights.** The encoder of this run has random weights: it is for demonstrations."],
        [data_section(run)],
    )
