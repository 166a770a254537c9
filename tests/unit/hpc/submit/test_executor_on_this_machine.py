"""Jobs submitted to this machine: real ranks, and a real controller that is killed."""

import errno
import os
import signal
import time
from pathlib import Path

import pytest

from hpc.disk.files import atomic_write_json
from hpc.disk.strict import validated
from hpc.job.profile import SiteProfile
from hpc.machine.processes import process_started
from hpc.submit.executor import submit
from hpc.submit.submitted import load_submitted
from tests.kit.submit_tools import request

ENTRY_POINTS = """
import os, signal, sys, time
from pathlib import Path
from hpc.errors import Preempted

def good(config, runtime):
    rank = runtime.topology.rank
    text = f"{os.environ['GREETING']} {config['x']} of {runtime.topology.world_size}"
    (runtime.job_folder / f"here-{rank}").write_text(text)

def saves(config, runtime):
    (runtime.job_folder / f"pid-{runtime.topology.rank}").write_text(str(os.getpid()))
    while not runtime.guard.should_stop():
        time.sleep(0.05)
    time.sleep(1.0)
    raise Preempted("all is saved")

def killed(config, runtime):
    (runtime.job_folder / f"pid-{runtime.topology.rank}").write_text(str(os.getpid()))
    print("about to die", file=sys.stderr, flush=True)
    if runtime.topology.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    while not runtime.guard.requested:
        time.sleep(0.05)
"""


@pytest.fixture
def entry_points(tmp_path, monkeypatch):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "entry_points.py").write_text(ENTRY_POINTS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "code"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    monkeypatch.setenv("SLURM_PROCID", "5")
    return "entry_points"


def wait(job, limit_s=60.0):
    end = time.monotonic() + limit_s
    while not (state := job.poll()).ended:
        assert time.monotonic() < end, state
        time.sleep(0.05)
    return state


def local_request(folder, function, **changes):
    return request(
        folder, entry_point=f"entry_points:{function}", config={"x": 1}, nodes=2, tasks_per_node=1, **changes
    )


def test_two_tasks_on_this_machine(tmp_path, entry_points):
    site = {"environment": [{"name": "GREETING", "value": "hello", "reason": "test"}]}
    job = submit(local_request(tmp_path / "run", "good"), validated(SiteProfile, site, "test"), "local")
    state = wait(job)
    assert (state.status, state.exit_code) == ("done", 0), state.message
    assert [(job.job_folder / f"here-{rank}").read_text() for rank in range(2)] == ["hello 1 of 2"] * 2
    assert job.log_path(1, "out").exists()
    assert job.log_folder.stat().st_mode & 0o777 == 0o700
    again = load_submitted(job.job_folder)
    assert wait(again).status == "done"


def test_a_killed_task_takes_the_others_with_it(tmp_path, entry_points):
    job = submit(local_request(tmp_path / "run", "killed"), SiteProfile(), "local")
    state = wait(job)
    assert state.status == "failed"
    assert "rank 1" in state.message
    for rank in range(2):
        assert process_started(int((job.job_folder / f"pid-{rank}").read_text())) is None


def test_ranks_save_and_end_when_their_controller_is_killed(tmp_path, entry_points):
    job = submit(local_request(tmp_path / "run", "saves"), SiteProfile(), "local")
    end = time.monotonic() + 60
    while len(list(job.job_folder.glob("pid-*"))) < 2:
        assert time.monotonic() < end
        time.sleep(0.02)
    pids = [int((job.job_folder / f"pid-{rank}").read_text()) for rank in range(2)]
    os.kill(int(job.job_id), signal.SIGKILL)
    time.sleep(0.2)
    for seen in (job, load_submitted(job.job_folder)):
        assert "its controller was killed" in seen.poll().message
        assert seen.poll().status == "running"
    state = wait(job)
    assert (state.exit_code, state.message) == (75, "all is saved")
    while any(process_started(pid) for pid in pids):  # what is saved is said a moment before the process is gone
        assert time.monotonic() < end


def test_a_job_that_cannot_be_recorded_does_not_run_on(tmp_path, entry_points, monkeypatch):
    """On a full disk the command ended with an error, and the job went on without anybody who could find it."""
    started = []

    def full(path, value):
        if path.name == "submitted.json":
            started.append(int(value["job_id"]))
            raise OSError(errno.ENOSPC, "full", str(path))
        atomic_write_json(path, value)

    monkeypatch.setattr("hpc.submit.job_folder.atomic_write_json", full)
    with pytest.raises(OSError, match="full"):
        submit(local_request(tmp_path / "run", "saves"), SiteProfile(), "local")
    [pid] = started
    end = time.monotonic() + 20
    while process_started(pid) is not None and Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z":
        assert time.monotonic() < end
        time.sleep(0.05)
