"""`launch/report.py`: which report is made, of what and where; and what a command says where it makes none."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from hpc.errors import CorruptError, InputError
from launch import _report, report
from launch._report import say_report
from snw_dist.evaluate.compare.runs import COMPARISON
from tests.kit.bundle_tools import measured_run
from tests.kit.tiny import launched
from tests.unit.evaluate.compare.test_compared import fold


@pytest.fixture
def compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the report of a comparison can be made, and no configuration is."""
    fold().write(tmp_path / "runs" / "x" / "compare" / COMPARISON)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_comparison_needs_no_configuration(compared: Path) -> None:
    done = CliRunner().invoke(report.app, ["--comparison", "runs/x/compare"])
    assert done.output == "Report: runs/x/comparison.html\n", done.output
    assert (compared / "runs/x/comparison/paired_differences.csv").is_file()
    done = CliRunner().invoke(report.app, ["--comparison", "runs/x", "--to", "ours.html"])
    assert (done.output, (compared / "ours.html").is_file()) == ("Report: ours.html\n", True)


@pytest.mark.parametrize("more", [["--run", "x"], ["--screen", "s"]])
def test_only_one_report_is_made(compared: Path, more: list[str]) -> None:
    done = CliRunner().invoke(report.app, ["--comparison", "runs/x", *more])
    assert isinstance(done.exception, InputError)
    assert "--comparison: has a page of its own" in str(done.exception)


def test_a_screen_that_is_not_there_is_one_line(compared: Path) -> None:
    done = CliRunner().invoke(report.app, ["--screen", "nothing"])
    assert "nothing: no result.json here" in str(done.exception)


def test_a_missing_package_is_said_in_one_line_and_fails_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def never() -> Path:
        raise AssertionError("not asked for")

    monkeypatch.setattr(_report, "PACKAGES", ("plotly_that_is_not_there",))
    say_report(never, "matplotlib_that_is_not_there")
    said = capsys.readouterr().out
    assert said.startswith("No report was made: not installed: plotly_that_is_not_there, matplotlib_that_is_not_there")
    assert said.count("\n") == 1


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


def test_what_cannot_be_reported_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    def damaged() -> Path:
        raise CorruptError("rejects.csv: damaged")

    say_report(damaged)
    assert capsys.readouterr().out == "No report was made: rejects.csv: damaged\n"
