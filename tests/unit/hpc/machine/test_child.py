"""Programs that another one starts: they and their folder end with it, by any signal. Real processes, real signals."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hpc.errors import EnvironmentProblem
from hpc.machine.child import workroom
from hpc.machine.processes import process_started

ROOT = Path(__file__).resolve().parents[4]
# A program as MMseqs2 is one, and worse: its work is done by a grandchild, and one more has a session of its own and
# has lost its parent. All write their numbers; none listens to a polite signal.
FAMILY = """#!/bin/sh
trap '' TERM HUP INT
sh -c 'trap "" TERM HUP INT; echo $$ > "$0/grandchild"; sleep 300 & wait' "$1" &
setsid sh -c 'trap "" TERM HUP INT; echo $$ > "$0/session"; exec sleep 300' "$1" &
sh -c 'setsid sh -c "echo \\$\\$ > $0/orphan; exec sleep 300" &' "$1"
echo $$ > "$1/program"
wait
"""
MEMBERS = ("program", "grandchild", "session", "orphan")
OWNER = """
import sys
from hpc.machine.child import workroom
with workroom("snw-test-") as room:
    room.run(sys.argv[1:])
"""


def in_time(condition: object, limit_s: float = 20.0) -> bool:
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.02)
    return False


def numbers(folder: Path) -> list[int]:
    """The processes of the family, once all have said their numbers."""
    texts = [(folder / name).read_text() if (folder / name).exists() else "" for name in MEMBERS]
    return [int(text) for text in texts] if all(text.endswith("\n") for text in texts) else []


@pytest.fixture
def family(tmp_path: Path) -> tuple[str, Path]:
    """The program, and the folder it writes to."""
    program, folder = tmp_path / "family", tmp_path / "numbers"
    program.write_text(FAMILY)
    program.chmod(0o755)
    folder.mkdir()
    return str(program), folder


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL, signal.SIGSEGV])
def test_all_that_a_program_has_started_and_its_folder_end_with_this_process(
    number: signal.Signals, family: tuple[str, Path], tmp_path: Path
) -> None:
    program, folder = family
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = os.environ | {"TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)}
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, program, str(folder)], env=environment, stderr=subprocess.DEVNULL
    )
    assert in_time(lambda: numbers(folder))
    pids = numbers(folder)
    assert all(map(process_started, pids))
    assert len(list(temporary.iterdir())) == 1
    owner.send_signal(number)
    owner.wait(20)
    assert in_time(lambda: not any(map(process_started, pids)))
    assert in_time(lambda: not list(temporary.iterdir()))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_keeper_itself_is_killed(
    number: signal.Signals, family: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be chosen when memory runs out. Its owner is told, and does what is left to do."""
    program, folder = family
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    wait = "; ".join(f"while [ ! -s {folder}/{name} ]; do sleep 0.02; done" for name in MEMBERS)
    with workroom("snw-test-") as room, pytest.raises(EnvironmentProblem, match="ended from outside"):
        room.run(["sh", "-c", f"{program} {folder} & {wait}; kill -{number.value} $PPID; wait"])
    assert not list(temporary.iterdir())
    # Who has made a session of its own is out of reach of a group, and then there is no subreaper any more.
    in_reach = numbers(folder)[:2] if number == signal.SIGKILL else numbers(folder)
    assert in_time(lambda: not any(map(process_started, in_reach)))
    for pid in numbers(folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_what_a_program_leaves_running_is_ended_when_it_ends(family: tuple[str, Path]) -> None:
    program, folder = family
    with workroom("snw-test-") as room:
        ended = room.run(["sh", "-c", f"{program} {folder} & while [ ! -s {folder}/program ]; do sleep 0.02; done"])
        assert ended.status == 0
        started = [int(path.read_text()) for path in folder.iterdir() if path.stat().st_size]
        assert started
        assert not any(map(process_started, started))


def test_status_and_the_end_of_the_output_come_back() -> None:
    with workroom("snw-test-") as room:
        assert room.folder.stat().st_mode & 0o077 == 0
        assert room.run(["sh", "-c", "echo out; echo err >&2; exit 3"]) == (3, "out\nerr\n")
        assert room.run(["sh", "-c", "kill -9 $$"]).status == -9
        status, output = room.run(["sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x; echo end"])
        assert status == 0
        assert output.endswith("xend\n")
        assert len(output) <= 65_536
        with pytest.raises(EnvironmentProblem, match="no-such-program: cannot be started"):
            room.run(["no-such-program"])
        assert room.run(["true"]).status == 0
        folder = room.folder
    assert not folder.exists()


def test_a_temporary_place_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/no/such/place")
    with pytest.raises(EnvironmentProblem, match=r"/no/such/place: no temporary folder .* Set TMPDIR"), workroom("x"):
        pass
