"""`status` itself: one run or all in a folder, for people and for programs, and really followed on a terminal."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from hpc.curves import nothing_known
from hpc.errors import CorruptError, InputError
from hpc.machine.processes import process_started
from hpc.progress import ProgressFile
from hpc.ranks.outcome import Outcome, write_outcome
from hpc.submit.array import watch_jobs
from hpc.submit.showing import as_json_lines, found_and_joining, found_jobs, show_once
from tests.kit.ranks import REPOSITORY
from tests.kit.submit_tools import submitted
from tests.kit.terminals import Terminal


def shown(folder: Path) -> str:
    console = Console(file=io.StringIO(), width=100, color_system=None)
    show_once(found_jobs(folder, nothing_known), console)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def ended(run: Path, name: str, code: int = 0, message: str = "done") -> Path:
    folder: Path = submitted(run, name)
    write_outcome(folder, 0, Outcome(code, message))
    (run / "logs" / "exit_codes.json").write_text(f"[{code}]")
    return folder


def test_all_runs_of_a_folder_in_a_line_each_and_one_in_full(tmp_path: Path) -> None:
    ended(tmp_path / "a", "train-a")
    ended(tmp_path / "b", "train-b", 3, "shard 7 is damaged")
    (tmp_path / "no-run").mkdir()
    text = shown(tmp_path)
    assert [line.split()[0] for line in text.splitlines()] == ["train-b", "train-a", "All"]
    assert "failed, exit code 3  shard 7 is damaged" in text
    assert "--run NAME" in text
    one = shown(tmp_path / "b")
    assert "failed, exit code 3" in one
    assert "shard 7 is damaged" in one
    assert "--run NAME" not in one


def test_where_nothing_was_submitted_and_where_nothing_can_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no job was submitted"):
        found_jobs(tmp_path, nothing_known)
    (submitted(tmp_path / "a") / "submitted.json").write_text("{")
    with pytest.raises(CorruptError):
        found_jobs(tmp_path, nothing_known)
    ended(tmp_path / "b", "train-b")
    assert [looker.job.name for looker in found_jobs(tmp_path, nothing_known)] == ["train-b"]


def test_json_ends_with_the_jobs(tmp_path: Path) -> None:
    ended(tmp_path, "train-a", 2, "bad")
    [line] = as_json_lines(found_jobs(tmp_path, nothing_known), follow=True)
    [job] = json.loads(line)["jobs"]
    assert (job["name"], job["state"], job["exit_code"], job["message"]) == ("train-a", "failed", 2, "bad")


FOLLOWING = """
import sys
from pathlib import Path
from hpc.curves import nothing_known
from hpc.shown import console
from hpc.submit.showing import found_jobs, show_and_follow
sys.exit(show_and_follow(found_jobs(Path(sys.argv[1]), nothing_known), console(160)))
"""


@pytest.fixture
def living(tmp_path: Path) -> Any:
    """A job of a process that stands for one that runs it."""
    with subprocess.Popen(["sleep", "60"]) as process:
        place = {"job_id": str(process.pid), "process_started": process_started(process.pid), "host": None}
        folder = submitted(tmp_path, "train-a", **place)
        ProgressFile(folder / "progress", 0).update("train", 5, 10, "steps", force=True)
        yield process, folder
        process.kill()


def following(tmp_path: Path) -> Terminal:
    return Terminal([sys.executable, "-c", FOLLOWING, str(tmp_path)], {"PYTHONPATH": str(REPOSITORY)})


def test_really_on_a_terminal_until_the_end(tmp_path: Path, living: tuple[Any, Path]) -> None:
    process, folder = living
    with following(tmp_path) as terminal:
        terminal.wait_for("5 / 10 steps")
        assert "running on 1 rank" in terminal.shown
        ProgressFile(folder / "progress", 0).update("train", 7, 10, "steps", force=True)
        terminal.wait_for("7 / 10 steps")
        write_outcome(folder, 0, Outcome(4, "no such device"))
        process.kill()
        process.wait()
        assert terminal.end() == 4
    assert "failed, exit code 4" in terminal.shown
    assert "no such device" in terminal.shown


def test_really_ctrl_c_leaves_the_job_running_and_says_so(tmp_path: Path, living: tuple[Any, Path]) -> None:
    process, _ = living
    with following(tmp_path) as terminal:
        terminal.wait_for("5 / 10 steps")
        terminal.press("\x03")
        assert terminal.end() == 130
    assert "No longer looking. This ends no job: train-a" in terminal.shown
    assert process.poll() is None


def test_jobs_that_are_submitted_later_join_and_no_other(tmp_path: Path) -> None:
    """They needed a new start of `status --follow`."""
    ended(tmp_path / "a", "train-a")
    now = [100.0]
    looking, joining = found_and_joining(tmp_path, nothing_known, lambda: now[0])
    assert [looker.job.name for looker in looking] == ["train-a"]
    ended(tmp_path / "b", "train-b", 3, "shard 7 is damaged")
    (tmp_path / "b" / "jobs" / "000009-not-yet").mkdir()
    assert joining() == [], "folders are listed every ten seconds only"
    now[0] += 11
    found = joining()
    assert [looker.job.name for looker in found] == ["train-b"]
    now[0] += 11
    assert joining() == []
    console = Console(file=io.StringIO(), width=100, color_system=None)
    states = watch_jobs(looking, console, 0.01, joining=lambda: [found.pop()] if found else [])
    assert [state.status for state in states] == ["done", "failed"]
    assert [looker.job.name for looker in looking] == ["train-a", "train-b"]
