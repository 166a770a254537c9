"""`launch/runs.py`: what it lists, and that it deletes nothing unasked."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from launch import runs
from tests.kit.retention_tools import steps
from tests.kit.run_folders import finished_run


def asked(folder: Path, *words: str, answer: str | None = None) -> str:
    done = CliRunner().invoke(runs.app, ["--folder", str(folder), *words], input=answer)
    assert done.exit_code in (0, 1), done.output
    return done.output


def test_runs_are_listed_and_compared(tmp_path: Path) -> None:
    finished_run(tmp_path / "one", 2, best=2, epochs=5)
    finished_run(tmp_path / "other", 2, 4, best=2, epochs=7)
    lines = asked(tmp_path).splitlines()
    for name in ("one", "other"):
        [line] = [line for line in lines if name in line.split()]
        assert "trained" in line
        assert "AUROC 0.909 (step 2)" in line
    [line] = [line for line in asked(tmp_path, "--compare", "one", "other").splitlines() if "train.epochs" in line]
    assert [cell.strip() for cell in line.strip("│ ").split("│")] == ["train.epochs", "5", "7"]
    assert "No setting differs" in asked(tmp_path, "--compare", "one", "one")


@pytest.mark.parametrize(("answer", "left"), [("n\n", [2, 4, 6]), ("", [2, 4, 6]), ("y\n", [4, 6])])
def test_pruning_asks(tmp_path: Path, answer: str, left: list[int]) -> None:
    run = finished_run(tmp_path / "run", 2, 4, 6, best=4)
    said = asked(tmp_path, "--prune", answer=answer)
    assert f"{run / 'checkpoints' / 'step_0000000002'}\n1 folder of " in said
    assert steps(run / "checkpoints") == left


def test_nothing_to_prune(tmp_path: Path) -> None:
    finished_run(tmp_path / "run", 4, 6, best=4)
    assert asked(tmp_path, "--prune").startswith("Nothing may be deleted")
