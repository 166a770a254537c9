"""A forgotten virtual environment, or an old Python: one line that says what to type, for every command."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from launch import _python
from launch._python import python_problem

ROOT = Path(__file__).resolve().parents[3]
COMMANDS = sorted(path.stem for path in (ROOT / "launch").glob("[a-z]*.py"))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_python_without_the_packages(command: str, tmp_path: Path) -> None:
    """`-S` hides the packages of the environment, `-E` what PYTHONPATH may add."""
    bare = [sys.executable, "-E", "-S", str(ROOT / "launch" / f"{command}.py"), "--help"]
    done = subprocess.run(bare, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 4, done.stderr
    [line] = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "has no typer" in line
    assert "make venv" in line or "source" in line


def test_what_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_python, "__file__", str(tmp_path / "launch" / "_python.py"))
    activate = tmp_path / ".venv" / "bin" / "activate"
    assert python_problem((3, 11), []) is None
    old = python_problem((3, 9), ["typer"])
    assert old is not None
    assert "(Python 3.9) is too old, Python 3.11 or newer is needed" in old
    assert old.endswith(f"Run: make venv, then source {activate}")
    activate.parent.mkdir(parents=True)
    activate.touch()
    forgotten = python_problem((3, 11), ["typer", "rich"])
    assert forgotten is not None
    assert forgotten.endswith(f"has no typer, rich: the virtual environment is not active. Run: source {activate}")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    incomplete = python_problem((3, 11), ["zarr"])
    assert incomplete is not None
    assert incomplete.endswith("has no zarr: the virtual environment is incomplete. Run: make venv")


@pytest.mark.parametrize("command", [*COMMANDS, "__init__", "_python"])
def test_any_python_3_can_read_what_comes_first(command: str) -> None:
    """The whole file is read before its first line runs."""
    ast.parse((ROOT / "launch" / f"{command}.py").read_text(), feature_version=(3, 6))
