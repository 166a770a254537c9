"""The watchdog of a rank ends what stands in C code while there is news, and nobody else. The processes are real."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hpc.machine.processes import process_started
from tests.kit.ranks import REPOSITORY

# Waits for ever with the interpreter's lock, as in DeepSpeed's shared memory; no signal frees it.
HOLD = "mutex = ctypes.create_string_buffer(64); [ctypes.PyDLL(None).pthread_mutex_lock(mutex) for _ in range(2)]"
HOLD_3_S = "ctypes.PyDLL(None).sleep(3)"
RANK = """
import ctypes, json, os, signal, socket, sys, threading, time
from pathlib import Path
import hpc.ranks.watchdog
from hpc.ranks.watchdog import start_watchdog, stop_watchdog, watchdog
hpc.ranks.watchdog.GRACE_S = hpc.ranks.watchdog.SIGN_S = 0.2
folder = Path(sys.argv[1])
start_watchdog(folder / "rank.log", folder / "outcome-rank0.json", 3, int(sys.argv[2]) or None)
ours, peer = socket.socketpair()
def ready(): (folder / "ready").write_text(str(os.getpid()))
"""


@contextlib.contextmanager
def start(folder: Path, code: str, controller: int = 0) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", RANK + code, str(folder), str(controller)]
    with subprocess.Popen(command, cwd=REPOSITORY, text=True, stderr=subprocess.PIPE) as rank:
        try:
            yield rank
        finally:
            rank.kill()


def until(condition: Callable[[], object], limit_s: float = 30.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def watchers(rank: int) -> list[int]:
    children = Path(f"/proc/{rank}/task/{rank}/children").read_text().split()
    return [int(pid) for pid in children if b"watcher.py" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@pytest.mark.parametrize(
    ("news", "said"),
    [
        ("peer.close()", "rank 1 on n2 has gone without a word"),
        ("Channel(peer, KEY, b'b', b'a').send(b'rank 7 on n8')", "rank 7 on n8 has gone without a word"),
    ],
)
def test_a_peer_that_dies_frees_a_rank_that_holds_the_lock(tmp_path: Path, news: str, said: str) -> None:
    """The peer goes while no thread of the rank can run, so that nothing in the rank can know it."""
    code = f"""
from hpc.ranks.channel import Channel
from hpc.ranks.peers import PeerWatch
KEY = bytes(32)
with PeerWatch({{"rank 1 on n2": Channel(ours, KEY, b"a", b"b")}}, grace_s=1.0):
    if os.fork() == 0:
        time.sleep(0.5)
        {news}
        os._exit(0)
    if {news!r} == "peer.close()": peer.close()
    {HOLD}
"""
    started = time.monotonic()
    with start(tmp_path, code) as rank:
        _, log = rank.communicate(timeout=60)
    assert rank.returncode == -signal.SIGKILL
    assert time.monotonic() - started < 25
    assert said in log
    assert "No thread of this rank can run" in log
    assert "most recent call first" in log, "where it stood"
    assert said in (tmp_path / "rank.log").read_text()
    outcome = json.loads((tmp_path / "outcome-rank0.json").read_text())
    assert outcome == {"exit_code": 1, "message": f"{said}; see its log", "restarts": 3, "echo": True}


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_stop_request_ends_a_rank_that_holds_the_lock(tmp_path: Path, when: str) -> None:
    """The signal comes while no thread can run, or just before."""
    code = f"""
from hpc.ranks.communicator import Communicator
from hpc.ranks.preemption import PreemptionGuard
with PreemptionGuard(Communicator.alone(), watchdog_s=1.0):
    ready()
    if {when!r} == "after": time.sleep(0.7)
    {HOLD}
"""
    with start(tmp_path, code) as rank:
        until((tmp_path / "ready").exists)
        if when == "before":
            time.sleep(0.5)
        rank.send_signal(signal.SIGTERM)
        _, log = rank.communicate(timeout=60)
    assert rank.returncode == -signal.SIGKILL
    assert "asked to stop, but no step boundary within 1 s" in log
    assert not (tmp_path / "outcome-rank0.json").exists()


@pytest.mark.parametrize(
    "work",
    [
        # no news: a rank may hold the lock as long as it likes
        HOLD_3_S,
        # news, but threads run: they know what to do (here: nothing)
        "watchdog().news('peer', 'has gone', 0.5); time.sleep(3)",
        "watchdog().news('peer', 'has gone', 0.5); [sum(range(10**6)) for _ in range(80)]",
        # news that says farewell
        f"watchdog().watch('p', ours.fileno(), '', 0.5, 0, 'farewell'); peer.sendall(b'farewell\\n'); {HOLD_3_S}",
        # news that was forgotten
        f"watchdog().watch('p', ours.fileno(), 'gone', 0.5); peer.close(); watchdog().forget('p'); {HOLD_3_S}",
        f"watchdog().news('p', 'gone', 0.5); watchdog().forget('p'); {HOLD_3_S}",
    ],
    ids=["slow", "threads", "busy", "farewell", "forgotten", "over"],
)
def test_a_rank_that_is_only_slow_is_left_alone(tmp_path: Path, work: str) -> None:
    with start(tmp_path, f"{work}\nstop_watchdog()\n") as rank:
        _, log = rank.communicate(timeout=60)
    assert rank.returncode == 0, log
    assert "watchdog of process" not in log


def test_a_suspended_job_is_not_taken_for_a_hang(tmp_path: Path) -> None:
    """Slurm suspends all processes of a job; when it goes on, both wake up, in any order."""
    code = "watchdog().news('peer', 'has gone', 1.0)\nready()\ntime.sleep(5)\nstop_watchdog()\n"
    with start(tmp_path, code) as rank:
        until((tmp_path / "ready").exists)
        [watcher] = watchers(rank.pid)
        for number in (signal.SIGSTOP, signal.SIGCONT):
            os.kill(watcher, number)
            rank.send_signal(number)
            time.sleep(2)
        _, log = rank.communicate(timeout=60)
    assert rank.returncode == 0, log


def test_it_is_small_and_ends_with_its_rank_however_that_ends(tmp_path: Path) -> None:
    code = """
watchdog().remove_at_end(folder / "left")
(folder / "left").touch()
if os.fork() == 0:  # holds the rank's end of the connection
    time.sleep(20)
    os._exit(0)
ready()
time.sleep(1000)
"""
    with start(tmp_path, code) as rank:
        until((tmp_path / "ready").exists)
        time.sleep(1.0)
        [watcher] = watchers(rank.pid)
        status = dict(line.split(":", 1) for line in Path(f"/proc/{watcher}/status").read_text().splitlines())
        assert int(status["RssAnon"].split()[0]) < 10_000
        ticks = Path(f"/proc/{watcher}/stat").read_text().rpartition(")")[2].split()[11:13]
        assert sum(map(int, ticks)) < 30, "hundredths of a second"
        for number in (signal.SIGTERM, signal.SIGUSR2, signal.SIGINT, signal.SIGHUP):
            os.kill(watcher, number)  # Slurm sends them to every process of a job
        time.sleep(0.3)
        assert process_started(watcher) is not None
        rank.kill()
    until(lambda: process_started(watcher) is None, 10)
    assert not (tmp_path / "left").exists()


def test_a_rank_goes_on_without_its_watchdog(tmp_path: Path) -> None:
    with start(tmp_path, "import logging; logging.basicConfig(); ready(); time.sleep(1)\nstop_watchdog()\n") as rank:
        until((tmp_path / "ready").exists)
        for watcher in watchers(rank.pid):
            os.kill(watcher, signal.SIGKILL)
        _, log = rank.communicate(timeout=60)
    assert rank.returncode == 0
    assert log.count("the watchdog of this rank has ended") == 1


def test_a_rank_whose_controller_has_gone_is_asked_until_it_listens(tmp_path: Path) -> None:
    """What starts may listen to no signal, as submitit does; and the controller may be gone before it begins."""
    code = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
time.sleep(2)
signal.signal(signal.SIGTERM, lambda *_: (stop_watchdog(), sys.exit(75)))
time.sleep(1000)
"""
    with start(tmp_path, code, controller=2**22 + 1) as rank:
        _, log = rank.communicate(timeout=60)
    assert rank.returncode == 75
    assert "the process that runs the ranks has gone" in log


def test_connections_that_the_watchdog_holds_end_with_the_rank(tmp_path: Path) -> None:
    """Or nobody would ever hear that this rank has died."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        code = f"""
ours = socket.create_connection(("127.0.0.1", {listener.getsockname()[1]}))
watchdog().watch("rank 0", ours.fileno(), "gone", 100.0)
ready()
{HOLD}
"""
        with start(tmp_path, code) as rank:
            connection, _ = listener.accept()
            until((tmp_path / "ready").exists)
            rank.kill()
            connection.settimeout(5)
            assert connection.recv(1) == b""
            connection.close()
