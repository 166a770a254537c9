"""`launch/report.py`, and the end of `launch/evaluate.py`: of what, and where the report is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hpc.errors import CorruptError, InputError
from launch import report
from launch._report import say_report
from snw_dist.evaluate.compare.runs import COMPARISON
from tests.kit.bundle_tools import measured_run
from tests.kit.comparisons import fold
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
