"""Names that look like markup, control sequences or formulas are shown as they are, and do nothing."""

import io
import subprocess
import sys

import pytest
from rich.table import Table

from hpc.shown import console, printable, spreadsheet_cell
from tests.kit.ranks import REPOSITORY

NAMES = ["pep[/]", "a[link=http://x]b", "[red]x[/red]", "[bold", ":smile:", "[/]", "100%[x"]


@pytest.mark.parametrize("name", NAMES)
def test_markup_is_text(name: str) -> None:
    shown = console(80)
    shown.file = io.StringIO()
    table = Table(name, title=name)
    table.add_row(name)
    shown.print(table, name)
    assert shown.file.getvalue().count(name) == 4


def test_standard_error_where_the_output_is_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    console(80, stderr=True).print("said")
    assert capsys.readouterr() == ("", "said\n")


@pytest.mark.parametrize("name", ["\x1b[31mred", "\x1b]0;title\x07", "a\rb", "\x9b31m", "e\u202ef", "\udcff"])
def test_what_is_invisible_is_shown_as_its_code(name: str) -> None:
    shown = console(80)
    shown.file = io.StringIO()
    table = Table("name")
    table.add_row(name)
    shown.print(table, name)
    text = shown.file.getvalue().replace("\n", "")
    assert text.isprintable()
    assert text.count(printable(name)) == 2


def test_visible_text_and_line_ends_stay() -> None:
    assert printable("Ångström\tx\ny") == "Ångström\tx\ny"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "=cmd|'/c calc'!A0", "＝1"])
def test_formulas_are_quoted(text: str) -> None:
    assert spreadsheet_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["pep=1", "", "HLA-A*02:01", "'x"])
def test_other_cells_stay(text: str) -> None:
    assert spreadsheet_cell(text) == text


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_no_terminal_is_too_poor_for_a_name(encoding: str) -> None:
    code = (
        "from hpc.shown import never_fail_to_print, console\n"
        "never_fail_to_print(); print('β-lactamase', '\\udcff'); console(80).print('蛋白')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        env={"PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"-lactamase" in done.stdout


def test_a_notebook_gets_no_view_that_is_drawn_again_each_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as IPython's kernel does for all that it starts
    assert not console(80).is_terminal
    assert console(80).width == 80
