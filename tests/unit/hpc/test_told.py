"""What takes long is said, and what does not is not."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hpc import told
from hpc.told import TOLD, Told, keep_told, long_work, show_told, tell
from tests.kit.terminals import Terminal

ROOT = Path(__file__).resolve().parents[3]


def test_long_work_is_said_when_it_is_long_then_reminded_of_and_its_time_at_the_end(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(told, "SAY_AFTER_S", 0.1)
    monkeypatch.setattr(told, "REMIND_S", 0.3)
    with long_work("short work"):
        pass
    with long_work("long work"):
        time.sleep(0.15)
        assert caplog.messages == ["long work ..."]
        time.sleep(0.35)
    first, second, last = caplog.messages
    assert (first, second[:11], second[-9:]) == ("long work ...", "long work: ", "s so far.") or second.endswith(
        "so far"
    )
    assert last.startswith("long work: ")
    assert "so far" not in last


def test_work_that_fails_does_not_claim_to_be_done(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(told, "SAY_AFTER_S", 0.0)

    def fail() -> None:
        time.sleep(0.05)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), long_work("broken work"):
        fail()
    assert caplog.messages == ["broken work ..."]


def test_a_command_prints_it_once_and_survives_a_terminal_that_has_gone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = logging.getLogger("hpc.told")
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "propagate", True)
    show_told()
    show_told()
    tell("control \x1b[2J, [/]")
    assert capsys.readouterr().out == "control \\x1b[2J, [/]\n"
    gone = io.StringIO()
    gone.close()
    monkeypatch.setattr(sys, "stdout", gone)
    tell("nobody hears this")


LONG_MMSEQS = """#!/bin/sh
[ "$1" = version ] && echo 13 && exit
sleep 2.3
exit 1
"""
COLD = """
import sys
from hpc.told import show_told
from snw_dist.data.splits.clusters import similar
show_told()
similar(["ACDEFGHIKL", "MNPQRSTVWY"], 0.5, 0.5)
"""


def test_mmseqs_is_not_silent(tmp_path: Path) -> None:
    program = tmp_path / "mmseqs"
    program.write_text(LONG_MMSEQS)
    program.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", COLD],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.startswith("MMseqs2 clusters 2 sequences ...\n")


def test_what_a_job_tells_is_read_from_its_folder_each_line_once(tmp_path: Path) -> None:
    reader = Told(tmp_path)
    assert reader.lines() == []
    try:
        keep_told(tmp_path)
        tell("first \u202e\nstill first")
        assert reader.lines() == ["first \\u202e still first"]
        assert reader.lines() == []
        keep_told(tmp_path)  # the next attempt of the job
        tell("second")
        with (tmp_path / TOLD).open("ab") as file:
            file.write(b"half a li")
        assert reader.lines() == ["second"]
        with (tmp_path / TOLD).open("ab") as file:
            file.write(b"ne\n\xff\n" + b"x" * 200_000 + b"\n")
        lines = reader.lines()
        assert lines[:2] == ["half a line", "\ufffd"]
        rest = "".join(lines[2:] + [line for _ in range(9) for line in reader.lines()])
        assert rest == "x" * 200_000
    finally:
        told._stop_keeping()
    assert Told(tmp_path).lines()[0] == "first \\u202e still first"


def test_a_folder_without_room_for_what_is_told_stops_no_job(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / TOLD).symlink_to("pipe")
    assert Told(tmp_path).lines() == []
    (tmp_path / TOLD).unlink()
    (tmp_path / TOLD).symlink_to("/dev/full")
    try:
        keep_told(tmp_path)
        tell("nobody hears it")
        keep_told(tmp_path / "missing")
        tell("nor this")
    finally:
        told._stop_keeping()


@pytest.mark.parametrize(
    ("total", "done", "seconds", "text"),
    [
        (0, 0, 8.0, "8.0 s so far"),
        (0, 3000, 8.0, "3,000 pairs, 8.0 s so far"),
        (12, 0, 8.0, "8.0 s so far"),
        (12, 3, 8.0, "3 of 12 pairs, about 24.0 s left"),
        (12, 12, 8.0, "12 pairs, 8.0 s so far"),
    ],
)
def test_how_far_work_is(total: int, done: int, seconds: float, text: str) -> None:
    now = [100.0]
    work = told.Work("scoring", total, "pairs", lambda: now[0])
    work.done = done
    now[0] += seconds
    assert work.figures() == text


def test_what_is_done_counts_for_the_innermost_work_of_its_unit_and_for_no_other(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(told, "SAY_AFTER_S", 0.05)
    monkeypatch.setattr(told, "REMIND_S", 0.06)
    told.did("runs")
    with long_work("outer", 4, "runs"):
        with long_work("inner", unit="rows"):
            told.did("runs", 100)
            told.did("rows", 7)
        told.did("runs")
        time.sleep(0.3)
    assert any(line.startswith("outer: 1 of 4 runs, about ") for line in caplog.messages)


BAR = """
import time
from hpc import told
from hpc.told import did, long_work, show_told, tell
show_told()
told.SAY_AFTER_S = 0.2
with long_work("outer [/] work", 4, "runs"):
    time.sleep(0.6)
    did("runs")
    with long_work("inner work"):
        time.sleep(0.6)
        tell("a line meanwhile")
    time.sleep(0.6)
print("printed after")
"""


def test_really_a_bar_on_a_terminal_and_lines_stay_above_it() -> None:
    with Terminal([sys.executable, "-c", BAR], {"PYTHONPATH": str(ROOT)}) as terminal:
        assert terminal.end() == 0
    assert "outer [/] work" in terminal.shown
    assert "1 of 4 runs, about " in terminal.shown
    assert "━" in terminal.shown
    lines = [line.strip() for line in terminal.shown.splitlines()]
    kept = [line for line in lines if line.startswith(("a line", "inner work: ", "outer [/] work: ", "printed"))]
    assert [line.split(":")[0] for line in kept] == [
        "a line meanwhile",
        "inner work",
        "outer [/] work",
        "printed after",
    ]


def test_without_a_terminal_there_is_no_bar() -> None:
    done = subprocess.run([sys.executable, "-c", BAR], cwd=ROOT, capture_output=True, text=True, check=True)
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == [
        *("outer [/] work ...", "inner work ...", "a line meanwhile", "inner work", "outer [/] work", "printed after"),
    ]
