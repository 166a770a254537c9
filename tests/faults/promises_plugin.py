"""What `make faults` runs and prints: the tests of the promises alone, and their table.

A test counts as one try of each of its rows, or as many as it records (`record_property("tried", 20)`); `lost_steps` is
the most that any test of a row has recorded, and 0 is what a promise of "nothing lost" looks like.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from tests.faults.promises import PROMISES, rows_of


@dataclass
class Tally:
    """What the tests of a row have come to."""

    tried: int = 0
    kept_promise: int = 0
    lost_steps: int = 0
    failed: list[str] = field(default_factory=list)


@dataclass(eq=False)  # with ==, it would have no hash, which pytest wants of a plugin
class PromisesPlugin:
    """Runs the tests of the promises alone; prints the table and writes it as JSON."""

    file: Path
    tallies: dict[int, Tally] = field(default_factory=lambda: {row: Tally() for row in PROMISES})

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        kept = [item for item in items if rows_of(item.nodeid)]
        config.hook.pytest_deselected(items=[item for item in items if not rows_of(item.nodeid)])
        items[:] = kept

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped or (report.when != "call" and report.passed):
            return
        figures: dict[str, Any] = dict(report.user_properties)
        tried = int(figures.get("tried", 1))
        for row in rows_of(report.nodeid.partition("@")[0]):
            tally = self.tallies[row]
            tally.tried += tried
            tally.kept_promise += tried if report.passed else 0
            tally.lost_steps = max(tally.lost_steps, int(figures.get("lost_steps", 0)))
            tally.failed += [] if report.passed else [report.nodeid]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(json.dumps(as_rows(self.tallies.items()), indent=1) + "\n")
        table = Table("row", "fault", "tried", "kept", "lost steps")
        for row, tally in self.tallies.items():
            shown = (str(value) for value in (tally.tried, tally.kept_promise, tally.lost_steps))
            table.add_row(str(row), PROMISES[row][0], *shown)
        console = Console(width=100)
        with console.capture() as capture:
            console.print(table)
        terminalreporter.write_line("")
        terminalreporter.write(capture.get())
        terminalreporter.write_line(f"Written to {self.file}")


def as_rows(tallies: Iterable[tuple[int, Tally]]) -> list[dict[str, Any]]:
    """The table as plain data, in the order of the rows."""
    return [
        {
            "row": row,
            "fault": PROMISES[row][0],
            "tried": tally.tried,
            "kept_promise": tally.kept_promise,
            "lost_steps": tally.lost_steps,
            "failed": tally.failed,
        }
        for row, tally in sorted(tallies)
    ]
