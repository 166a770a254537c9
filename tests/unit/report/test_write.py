"""A report appears as a whole, and leaves what is not its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpc.errors import InputError
from snw_dist.report.page import Column, Page, Section, Table
from snw_dist.report.write import write_report

TABLE = Table("t", "T", "", [Column("a")], [["x"]])
PAGE = Page("P", "A", "plain", [], [], [Section("s", "S", [TABLE])])


def test_a_report_is_replaced_and_foreign_files_stay(tmp_path: Path) -> None:
    folder = tmp_path / "für ❤"
    for name in ("old.svg", "notes.txt"):
        folder.mkdir(exist_ok=True)
        (folder / name).write_text("x")
    assert write_report(PAGE, tmp_path / "für ❤.html", {"a_mqc.json": b"{}"}) == tmp_path / "für ❤.html"
    assert {path.name for path in folder.iterdir()} == {"t.csv", "a_mqc.json", "notes.txt"}
    assert 'href="für ❤/t.csv"' in (tmp_path / "für ❤.html").read_text(encoding="utf-8")


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"report\.pdf: a report is an HTML file"):
        write_report(PAGE, tmp_path / "report.pdf")
    assert list(tmp_path.iterdir()) == []
