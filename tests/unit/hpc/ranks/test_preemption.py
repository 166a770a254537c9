import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from hpc.ranks.communicator import Communicator
from hpc.ranks.preemption import STOP_SIGNALS, PreemptionGuard
from hpc.ranks.requeue import requeue_and_wait
from hpc.ranks.topology import JobIdentity
from tests.kit.ranks import REPOSITORY, names

ALONE = Communicator.alone()


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_signal_sets_the_flag_and_nothing_else(number: signal.Signals) -> None:
    with PreemptionGuard(ALONE) as guard:
        assert not guard.should_stop()
        send(number)
        assert guard.requested
        assert guard.should_stop()
        assert guard.num_signals == 1


def test_nothing_is_left_installed() -> None:
    before = [signal.getsignal(number) for number in STOP_SIGNALS]
    num_descriptors, threads = len(names(Path("/proc/self/fd"))), threading.active_count()
    for _ in range(3):
        with pytest.raises(ValueError, match="inside"), PreemptionGuard(ALONE), PreemptionGuard(ALONE):
            raise ValueError("inside")
    assert [signal.getsignal(number) for number in STOP_SIGNALS] == before
    assert len(names(Path("/proc/self/fd"))) == num_descriptors
    assert threading.active_count() == threads
    assert signal.set_wakeup_fd(-1) == -1


def test_the_end_does_not_wait_for_the_watchdog() -> None:
    started = time.monotonic()
    for _ in range(10):
        with PreemptionGuard(ALONE):
            pass
    assert time.monotonic() - started < 2.0


def test_a_handler_installed_before_is_replaced_and_comes_back() -> None:
    seen: list[int] = []
    previous = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        with PreemptionGuard(ALONE) as guard:
            send(signal.SIGTERM)
            assert guard.should_stop()
            assert seen == []
        send(signal.SIGTERM)
        assert seen == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, previous)


def test_the_own_time_limit_needs_no_signal() -> None:
    with PreemptionGuard(ALONE, time_left_s=0.2) as guard:
        assert not guard.should_stop()
        time.sleep(0.25)
        assert guard.should_stop()
        assert guard.num_signals == 0
    with PreemptionGuard(ALONE, time_left_s=-5.0) as guard:
        assert guard.should_stop()


def test_a_storm_of_signals() -> None:
    with PreemptionGuard(ALONE) as guard:
        for _ in range(5000):
            send(signal.SIGUSR2)
            send(signal.SIGTERM)
        assert guard.should_stop()
        assert guard.num_signals > 100


@pytest.mark.parametrize(
    ("blocked", "code"),
    [
        # the handler cannot run while the main thread is inside a call, as in a collective
        ("mutex = ctypes.create_string_buffer(64); [lock(mutex) for _ in range(2)]", 75),
        ("time.sleep(3)", 75),
        ("[(guard.mark_boundary(), time.sleep(0.1)) for _ in range(20)]", 0),
    ],
)
def test_watchdog(blocked: str, code: int) -> None:
    script = f"""
import ctypes, logging, os, signal, threading, time
from hpc.ranks.communicator import Communicator
from hpc.ranks.preemption import PreemptionGuard
logging.basicConfig()
lock = ctypes.CDLL(None).pthread_mutex_lock
def later():
    time.sleep(0.3)
    # to the process: any thread may take it, as from Slurm
    os.kill(os.getpid(), signal.SIGUSR2)
with PreemptionGuard(Communicator.alone(), watchdog_s=0.7) as guard:
    threading.Thread(target=later).start()
    {blocked}
"""
    started = time.monotonic()
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    assert ("no step boundary within 1 s" in done.stderr) == (code == 75)
    assert time.monotonic() - started < 20


# ---------------------------------------------------------------------------- requeue


def scheduler(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch, state: str = "RUNNING") -> None:
    """A `scontrol` for this test alone: it knows a job in `state`, and `script` answers a requeue."""
    show = f"case $1 in show) echo JobId=41 JobState={state} Reason=None; exit;; esac"
    (folder / "scontrol").write_text(f'#!/bin/sh\n{show}\necho "$@" >> {folder}/asked\n{script}\n')
    (folder / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_without_slurm_there_is_nothing_to_requeue() -> None:
    with PreemptionGuard(ALONE) as guard:
        assert not requeue_and_wait(JobIdentity(), ALONE, guard)


def test_without_scontrol_the_user_is_told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with PreemptionGuard(ALONE) as guard:
        assert not requeue_and_wait(JobIdentity("41"), ALONE, guard)
    assert "submit the same command again" in caplog.text


def test_a_refused_requeue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    scheduler(tmp_path, "echo 'Requested operation is presently disabled' >&2; exit 1", monkeypatch)
    with PreemptionGuard(ALONE) as guard:
        assert not requeue_and_wait(JobIdentity("40_7", 2), ALONE, guard)
    assert "presently disabled" in caplog.text
    assert (tmp_path / "asked").read_text() == "requeue 40_7\n"


def test_a_job_that_slurm_is_ending_is_left_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A requeue would undo the user's `scancel`; Slurm's own requeue needs none."""
    scheduler(tmp_path, "exit 1", monkeypatch, state="COMPLETING")
    with PreemptionGuard(ALONE) as guard:
        assert requeue_and_wait(JobIdentity("41"), ALONE, guard, wait_s=0.0)
    assert not (tmp_path / "asked").exists()


def test_a_job_that_is_being_signalled_is_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Preempted, it is SIGNALING until Slurm's SIGCONT has arrived; taken for its end, the job was lost."""
    state = f"$(test -e {tmp_path}/later && echo RUNNING || echo SIGNALING; touch {tmp_path}/later)"
    scheduler(tmp_path, f"kill -TERM {os.getpid()}", monkeypatch, state)
    with PreemptionGuard(ALONE) as guard:
        assert requeue_and_wait(JobIdentity("41"), ALONE, guard, wait_s=30.0)
    assert (tmp_path / "asked").read_text() == "requeue 41\n"


@pytest.mark.parametrize("script", ["kill -TERM $PPID", "(sleep 0.7; kill -TERM $PPID) >&- 2>&- &"])
def test_an_accepted_requeue_waits_for_the_schedulers_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    """Also for one that comes before scontrol itself has ended."""
    scheduler(tmp_path, script.replace("$PPID", str(os.getpid())), monkeypatch)
    started = time.monotonic()
    with PreemptionGuard(ALONE, watchdog_s=0.3) as guard:
        send(signal.SIGUSR2)
        assert requeue_and_wait(JobIdentity("41"), ALONE, guard, wait_s=30.0)
    assert time.monotonic() - started < 10
    assert (tmp_path / "asked").read_text() == "requeue 41\n"
