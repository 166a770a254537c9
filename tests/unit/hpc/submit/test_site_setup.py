"""A line of a profile's `setup` that fails ends the job with its own message; run by a real bash."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from hpc.ranks.outcome import read_outcomes
from hpc.submit.site_setup import setup_lines


def run(folder: Path, setup: list[str], **environ: str) -> subprocess.CompletedProcess[str]:
    folder.mkdir(exist_ok=True)
    script = folder / "script.sh"
    script.write_text("\n".join(["#!/bin/bash", *setup_lines(setup, folder / "job"), 'echo "went on: $A"']) + "\n")
    with (folder / "log.err").open("a") as log:
        return subprocess.run(
            ["bash", script],
            cwd=folder,
            env=os.environ | environ,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            timeout=30,
        )


FAILING = [
    (["true", "module load gcc/99"], 2, "line 2, failed with exit code 127: module load gcc/99\nIt said:\n"),
    (["source /nowhere/activate"], 1, "/nowhere/activate: No such file"),
    (["set -e", "false", "true"], 1, "line 2, failed with exit code 1: false"),
    (["echo tell >&2; exit 7"], 7, "failed with exit code 7: echo tell >&2; exit 7\nIt said:\ntell"),
    (["ls \\", "/nowhere"], 2, "line 1, failed with exit code 2: ls \\"),
    (["printf 'a\"b\\\\c\\n\\033[1m\\t%s\\n' x >&2; (exit 200)"], 200, 'It said:\na"b\\c\n[1m'),
    (["if true; then", "false", "fi"], 1, "line 2, failed with exit code 1: false"),
    (["true", "[ -e /nowhere ] ||", "ls /nowhere"], 2, "line 3, failed with exit code 2: ls /nowhere"),
    (["f() { false; return 3; }", "f", "true"], 3, "line 2, failed with exit code 3: f"),
    (["set -u", "echo $snw_nothing", "true"], 1, "line 2, failed with exit code 1: echo $snw_nothing"),
    (["true", "echo 'return 5' > f.sh", ". ./f.sh"], 5, "line 3, failed with exit code 5: . ./f.sh"),
    (["echo 'exit 6' > f.sh", ". ./f.sh"], 6, "line 2, failed with exit code 6: . ./f.sh"),
    (["if then"], 2, "syntax error near"),
]


@pytest.mark.parametrize(("setup", "code", "said"), FAILING, ids=range(len(FAILING)))
def test_a_failing_line_is_the_outcome_of_the_job(tmp_path: Path, setup: list[str], code: int, said: str) -> None:
    (tmp_path / "job").mkdir()
    (tmp_path / "log.err").write_text("of an attempt before\n")
    done = run(tmp_path, setup, SLURM_RESTART_COUNT="2")
    assert (done.returncode, done.stdout) == (4, "")
    outcome = read_outcomes(tmp_path / "job", 2)[0]
    assert outcome.exit_code == 4
    assert said in outcome.message
    assert "of an attempt before" not in outcome.message
    assert "setup of the site profile" in (tmp_path / "log.err").read_text()


def test_lines_that_work_change_the_shell_of_the_job(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    setup = [
        "module() { export A=$1; return 0; }",
        "module loaded",
        "if [ -e /nowhere ]; then",
        "false",
        "fi",
        "ls \\",
        "/",
    ]
    done = run(tmp_path, setup)
    assert done.returncode == 0, (tmp_path / "log.err").read_text()
    assert done.stdout.endswith("went on: loaded\n")
    assert not list((tmp_path / "job").iterdir())
    assert setup_lines([], tmp_path) == []


WORKING = [
    ["if [ -e /nowhere ]; then", "false", "else", "A=b", "fi"],
    ["[ -e /nowhere ] ||", "A=b"],
    ["[ -e / ] &&", "A=b"],
    ["case $HOME in", "/nowhere) false ;;", "*) A=b ;;", "esac"],
    ["A=$(cat <<'END'", "b", "END", ")"],
    ["printf 'false\\n[ -e /nowhere ]\\nA=b\\n' > f.sh", "source ./f.sh"],  # `activate` of many environments
    ["module() { false; eval 'A=b'; }", "module load b"],
    ["while read -r A; do", "break", "done <<< b"],
    ["false || A=b"],
]


@pytest.mark.parametrize("setup", WORKING, ids=range(len(WORKING)))
def test_what_works_in_a_script_works_in_a_profile(tmp_path: Path, setup: list[str]) -> None:
    """A look at the last exit code after each line took the condition of an `if` for a failure of its `else`."""
    (tmp_path / "job").mkdir()
    done = run(tmp_path, setup)
    assert (done.returncode, done.stdout) == (0, "went on: b\n"), (tmp_path / "log.err").read_text()


def test_a_task_of_an_array_leaves_it_in_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "job_00003").mkdir()
    assert run(tmp_path, ["false"], SLURM_ARRAY_TASK_ID="3").returncode == 4
    assert read_outcomes(tmp_path / "job_00003", 0)[0].exit_code == 4


def test_a_stop_during_the_setup_is_no_failure_of_it(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    assert run(tmp_path, ["kill -TERM $$", "true"]).returncode == 143
    assert not list((tmp_path / "job").iterdir())
