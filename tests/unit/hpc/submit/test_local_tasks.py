"""The process that runs the tasks, without the seconds that a real rank needs to start."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hpc.machine.processes import process_started
from hpc.submit.schedulers import LocalProcess
from tests.kit.ranks import REPOSITORY


def start_tasks(folder, code, num_tasks=2, stderr=None):
    folder.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "hpc.submit.local_tasks", str(folder)],
        env=os.environ
        | {
            "PYTHONPATH": str(REPOSITORY),
            "SUBMITIT_LOCAL_COMMAND": f"{sys.executable} -S -c '{code}' {folder}",
            "SUBMITIT_LOCAL_NTASKS": str(num_tasks),
        },
        start_new_session=True,
        stderr=stderr,
    )
    return process, LocalProcess(process.pid, folder, process, process_started(process.pid))


WAITING = """
import os, signal, sys, time
rank = os.environ["SUBMITIT_LOCAL_GLOBALID"]
def note(number, frame):
    open(sys.argv[1] + f"/signal-{rank}-{number}", "w").close()
    if number == signal.SIGTERM: sys.exit(75)
signal.signal(signal.SIGUSR2, note)
signal.signal(signal.SIGTERM, note)
open(sys.argv[1] + "/ready-" + rank, "w").write(str(os.getpid()))
while True: time.sleep(0.02)
"""


def until(condition, limit_s=20.0):
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_signals_reach_every_task(tmp_path):
    process, scheduler = start_tasks(tmp_path, WAITING)
    with process:
        until(lambda: len(list(tmp_path.glob("ready-*"))) == 2)
        process.send_signal(signal.SIGUSR2)
        until(lambda: len(list(tmp_path.glob(f"signal-*-{signal.SIGUSR2}"))) == 2)
        assert scheduler.look().phase == "running"
        scheduler.stop()
        assert process.wait(timeout=20) == 75
    assert len(list(tmp_path.glob(f"signal-*-{signal.SIGTERM}"))) == 2
    assert json.loads((tmp_path / "exit_codes.json").read_text()) == [75, 75]
    assert scheduler.look().word == "rank 0 ended with exit code 75, rank 1 ended with exit code 75"
    scheduler.stop()
    scheduler.kill()


DEAF_AT_FIRST = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda number, frame: None)
open(sys.argv[1] + "/ready-" + os.environ["SUBMITIT_LOCAL_GLOBALID"], "w").close()
time.sleep(1)
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(75))
while True: time.sleep(0.02)
"""


def test_a_task_that_was_still_starting_is_asked_again(tmp_path):
    process, scheduler = start_tasks(tmp_path, DEAF_AT_FIRST)
    with process:
        until(lambda: len(list(tmp_path.glob("ready-*"))) == 2)
        scheduler.stop()
        assert process.wait(timeout=20) == 75
    assert json.loads((tmp_path / "exit_codes.json").read_text()) == [75, 75]


def test_kill_leaves_no_task_behind(tmp_path):
    process, scheduler = start_tasks(tmp_path, WAITING)
    with process:
        until(lambda: len(list(tmp_path.glob("ready-*"))) == 2)
        until(lambda: all(path.read_text() for path in tmp_path.glob("ready-*")))
        pids = [int(path.read_text()) for path in tmp_path.glob("ready-*")]
        scheduler.kill()
        process.wait(timeout=20)
    until(lambda: all(process_started(pid) is None for pid in pids))
    assert scheduler.look().word == "the process that runs the tasks was killed"


def test_exit_codes_in_words(tmp_path):
    code = 'import os; os.kill(os.getpid(), 9) if os.environ["SUBMITIT_LOCAL_LOCALID"] == "1" else os._exit(4)'
    process, scheduler = start_tasks(tmp_path, code)
    with process:
        process.wait(timeout=20)
    assert scheduler.look().word == "rank 0 ended with exit code 4, rank 1 was ended by SIGKILL"


SAVING = """
import os, signal, sys, time
def save(number, frame):
    time.sleep(1.0)
    open(sys.argv[1] + "/saved-" + os.environ["SUBMITIT_LOCAL_GLOBALID"], "w").close()
    sys.exit(75)
signal.signal(signal.SIGTERM, save)
open(sys.argv[1] + "/ready-" + os.environ["SUBMITIT_LOCAL_GLOBALID"], "w").write(str(os.getpid()))
while True: time.sleep(0.02)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP, signal.SIGSEGV])
def test_tasks_save_and_end_with_their_controller(tmp_path, number):
    process, scheduler = start_tasks(tmp_path, SAVING)
    again = LocalProcess(process.pid, tmp_path, None, process_started(process.pid))
    with process:
        until(lambda: len(list(tmp_path.glob("ready-*"))) == 2)
        process.send_signal(number)
        if number == signal.SIGKILL:
            process.wait(timeout=20)
            for seen in (scheduler.look(), again.look()):
                assert seen.phase == "running", "they are still saving"
                assert "its controller was killed" in seen.word
                assert all(path.read_text() in seen.word for path in tmp_path.glob("ready-*"))
    until(lambda: again.look().phase == "ended")
    assert len(list(tmp_path.glob("saved-*"))) == 2
    pids = [int(path.read_text()) for path in tmp_path.glob("ready-*")]
    until(lambda: all(process_started(pid) is None for pid in pids))


def test_tasks_that_do_not_listen_can_be_killed_without_their_controller(tmp_path):
    deaf = SAVING.replace("signal.signal(signal.SIGTERM, save)", "signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    process, scheduler = start_tasks(tmp_path, deaf)
    with process:
        until(lambda: len(list(tmp_path.glob("ready-*"))) == 2)
        process.kill()
        process.wait(timeout=20)
    time.sleep(0.2)
    assert scheduler.look().phase == "running"
    scheduler.stop()
    scheduler.kill()
    until(lambda: scheduler.look().phase == "ended")


def test_a_group_with_the_same_number_is_somebody_else(tmp_path):
    """A pid comes again: after a restart of the machine, a daemon may have the group that a job once had."""
    code = "import os, time; os.fork() and os._exit(0); time.sleep(30)"
    with subprocess.Popen([sys.executable, "-S", "-c", code], start_new_session=True) as process:
        process.wait(timeout=20)
        stale = LocalProcess(process.pid, tmp_path, None, "1")
        assert stale.look().phase == "ended"
        stale.stop()
        stale.kill()
        os.killpg(process.pid, 0)  # it lives
        os.killpg(process.pid, signal.SIGKILL)


def test_a_task_that_starts_while_its_controller_dies_does_not_stay(tmp_path):
    code = f"""
import os, signal, sys, time
sys.path.insert(0, {str(REPOSITORY)!r})
from hpc.submit.local_tasks import _end_with
parent = os.getpid()
if os.fork() == 0:
    os.kill(parent, signal.SIGKILL)
    while os.getppid() == parent: time.sleep(0.01)
    _end_with(parent)
    open({str(tmp_path / "stayed")!r}, "w").close()
    os._exit(0)
time.sleep(30)
"""
    done = subprocess.run([sys.executable, "-c", code], timeout=30, check=False)
    assert done.returncode == -signal.SIGKILL
    time.sleep(0.3)
    assert not (tmp_path / "stayed").exists()


@pytest.mark.parametrize("full", [False, True], ids=["told in a file", "nothing can be written"])
def test_exit_codes_are_known_also_where_nothing_can_be_written(tmp_path, full):
    """On a full disk neither outcomes nor exit codes can be left: it was "the process was killed", exit 1."""
    if full:
        (tmp_path / "exit_codes.json.tmp").mkdir()
    with Path("/dev/full" if full else "/dev/null").open("w") as log:
        process, scheduler = start_tasks(tmp_path, "import sys; sys.exit(3)", stderr=log)
    with process:
        assert process.wait(timeout=20) == 3
    seen = scheduler.look()
    assert (seen.phase, seen.exit_code) == ("ended", 3)
    assert ("rank 0 " in seen.word) != full
