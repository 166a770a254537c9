import io
import os
import pty
import re
import signal
import sys
import threading
import time

import pytest
from rich.console import Console

from hpc.progress import ProgressFile
from hpc.submit.follow import follow
from hpc.submit.submitted import JobState
from hpc.told import TOLD
from tests.kit.ranks import REPOSITORY
from tests.kit.submit_tools import Job


def run(job, terminal=False):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=100, color_system=None)
    code = follow(job, console, poll_s=0.01)
    return code, console.file.getvalue()


def test_lines_for_each_change_of_state(tmp_path):
    ProgressFile(tmp_path / "progress", 0).update("train", 5, 5, "steps", loss=0.25)
    states = [
        JobState("pending", message="Resources"),
        JobState("running"),
        JobState("running"),
        JobState("requeued", attempt=2),
        JobState("running", attempt=2),
        JobState("done", 0, "done", 2),
    ]
    code, text = run(Job(tmp_path, states))
    assert code == 0
    assert text.splitlines()[0].startswith("train[1]: job 41 (slurm)")
    assert text.splitlines()[1:] == [
        "waiting in the queue: no free nodes yet (Resources)",
        "running on 4 ranks",
        "queued again (attempt 2)",
        "running on 4 ranks (attempt 2)",
        "train 5 / 5 steps, loss 0.25",
        "done",
    ]


@pytest.mark.parametrize("terminal", [False, True])
def test_what_the_job_tells_is_printed_once_as_it_comes_and_at_its_end(tmp_path, terminal):
    def running(line):
        def poll():
            with (tmp_path / "progress" / TOLD).open("a") as file:
                file.write(line)
            return JobState("running")

        return poll

    def ended():
        with (tmp_path / "progress" / TOLD).open("a") as file:
            file.write("best [/] 0.9\n")
        return JobState("done", 0)

    (tmp_path / "progress").mkdir()
    code, text = run(Job(tmp_path, [running("resuming at step 3\n"), running("step 4: val"), ended]), terminal)
    assert code == 0
    plain = re.sub(r"\x1b\[[?0-9]*[a-zA-Z]", "", text)
    told = [line.strip() for line in plain.splitlines() if "step" in line or "best" in line]
    assert told == ["resuming at step 3", "step 4: valbest [/] 0.9"]
    assert text.rstrip().endswith("done")


@pytest.mark.parametrize("terminal", [False, True])
def test_a_reason_that_never_ends_is_told_once_with_what_to_do(tmp_path, terminal):
    waits = [JobState("pending", message=reason) for reason in ("Priority", "PartitionTimeLimit", "PartitionTimeLimit")]
    again = [JobState("requeued", message="BeginTime", attempt=2), waits[1], JobState("done", 0)]
    code, text = run(Job(tmp_path, [*waits, *again]), terminal)
    assert code == 0
    text = " ".join(re.sub(r"\x1b\[[?0-9]*[a-zA-Z]", "", text).split())
    said = text.count("PartitionTimeLimit: as it was asked for, the job never starts: its time limit is longer")
    assert said == (3 if terminal else 1)  # in each view of the job while it waits
    assert "lower --time-min" in text
    assert "To give up: scancel 41." in text
    assert "What to do" not in run(Job(tmp_path, [waits[0], again[0], again[-1]]))[1]


def test_a_cancelled_job_is_not_called_failed(tmp_path):
    code, text = run(Job(tmp_path, [JobState("pending"), JobState("cancelled", 130, "by anna, before it had started")]))
    assert code == 130
    assert text.splitlines()[-1] == "cancelled (exit code 130) by anna, before it had started"


def test_failure_is_told_with_its_code(tmp_path):
    code, text = run(Job(tmp_path, [JobState("failed", 3, "shard [7] is damaged")]))
    assert code == 3
    assert "failed (exit code 3): shard [7] is damaged" in text


def test_live_view_on_a_terminal(tmp_path):
    file = ProgressFile(tmp_path / "progress", 0)
    file.update("embed", 1, 100, "shards", force=True)
    file.update("embed", 20, 100, "shards", force=True)
    code, text = run(Job(tmp_path, [JobState("running")] * 40 + [JobState("done", 0)]), terminal=True)
    assert code == 0
    assert "running on 4 ranks" in text
    assert "20 / 100 shards" in text
    assert "left" in text


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(1)
    raise AssertionError("not interrupted")


def test_interrupt_leaves_a_slurm_job_alone(tmp_path):
    job = Job(tmp_path, [JobState("running"), interrupt])
    code, text = run(job)
    assert code == 130
    assert job.calls == []
    assert "scancel 41" in text
    assert "squeue -j 41" in text


@pytest.mark.parametrize(("end", "code"), [(JobState("failed", 75, "saved"), 75), (JobState("failed", 1, "x"), 130)])
def test_interrupt_lets_local_tasks_save(tmp_path, end, code):
    job = Job(tmp_path, [JobState("running"), interrupt, JobState("running"), end], "local")
    found, text = run(job)
    assert found == code
    assert job.calls == ["stop"]
    assert ("goes on from there" in text) == (code == 75)


def test_second_interrupt_kills_local_tasks(tmp_path):
    job = Job(tmp_path, [interrupt, interrupt, JobState("running"), JobState("failed", 1, "killed")], "local")
    assert run(job)[0] == 130
    assert job.calls == ["stop", "kill"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_end_of_the_launcher_counts_like_an_interrupt(tmp_path, number):
    before = signal.getsignal(number)

    def end():
        os.kill(os.getpid(), number)
        time.sleep(1)

    job = Job(tmp_path, [end, JobState("failed", 75, "saved")], "local")
    assert run(job)[0] == 75
    assert job.calls == ["stop"]
    assert signal.getsignal(number) == before


def test_outside_the_main_thread_signals_are_left_alone(tmp_path):
    results = []
    thread = threading.Thread(target=lambda: results.append(run(Job(tmp_path, [JobState("done", 0)]))[0]))
    thread.start()
    thread.join()
    assert results == [0]


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_is_ignored_stays_ignored(tmp_path, number):
    def ignored():
        os.kill(os.getpid(), number)
        time.sleep(0.05)
        return JobState("running")

    previous = signal.signal(number, signal.SIG_IGN)
    try:
        for terminal in (False, True):
            job = Job(tmp_path, [ignored, JobState("done", 0)], "local")
            assert run(job, terminal)[0] == 0
            assert job.calls == []
            assert signal.getsignal(number) == signal.SIG_IGN
    finally:
        signal.signal(number, previous)


FOLLOWING = """
import sys, time
from pathlib import Path
from rich.console import Console
from hpc.submit.follow import follow
from hpc.submit.submitted import JobState
from hpc.told import TOLD
class Job:
    name, job_id, cluster, num_tasks = "train", "41", "local", 1
    advice = lambda self, state: None
    job_folder = progress_folder = Path(sys.argv[1])
    def poll(self):
        (self.job_folder / "following").touch()
        return JobState("done", 0) if (self.job_folder / "end").exists() else JobState("running")
    def stop(self):
        (self.job_folder / "stopped").touch()
sys.exit(follow(Job(), Console(), poll_s=0.02))
"""


@pytest.mark.parametrize("wrapper", [["nohup"], ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh"]])
def test_nohup_outlives_the_terminal(tmp_path, wrapper):
    """Really: the terminal is a pseudo-terminal that is closed while the job is followed."""
    (tmp_path / "follow.py").write_text(FOLLOWING)
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        os.environ["PYTHONPATH"] = str(REPOSITORY)
        os.execvp(wrapper[0], [*wrapper, sys.executable, str(tmp_path / "follow.py"), str(tmp_path)])
    end = time.monotonic() + 30
    while not (tmp_path / "following").exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    os.close(terminal)
    time.sleep(0.5)
    assert os.waitpid(pid, os.WNOHANG) == (0, 0), "the launcher has ended with its terminal"
    (tmp_path / "end").touch()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert not (tmp_path / "stopped").exists()
