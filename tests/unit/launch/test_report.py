"""`launch/report.py`, and the end of `launch/evaluate.py`: where the report is, or one line why there is none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hpc.errors import CorruptError
from launch._report import say_report
from tests.kit.bundle_tools import measured_run
from tests.kit.tiny import launched


def test_evaluate_ends_with_the_report(tmp_path: Path) -> None:
    config = measured_run(tmp_path)
    done = launched(tmp_path, "evaluate")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == f"Report: {config.run_folder / 'report.html'}"
    done = launched(tmp_path, "report", "--to", "für dich.html")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("Report: für dich.html\n")
    assert (tmp_path / "für dich.html").is_file()
    done = launched(tmp_path, "report", "--run", "typo")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "snw-dist evaluate" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_without_its_packages_one_line_says_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    say_report(lambda: pytest.fail("made"))
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith("No report was made: not installed: jinja2. Install what this command needs, in ")
    assert line.endswith('pip install ".[report]"')


def test_what_cannot_be_reported_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    def damaged() -> Path:
        raise CorruptError("rejects.csv: damaged")

    say_report(damaged)
    assert capsys.readouterr().out == "No report was made: rejects.csv: damaged\n"
