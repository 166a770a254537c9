"""What several tests of jobs need: programs that stand for Slurm's, and a job whose scheduler says what it is told."""

import pytest

from hpc.submit.schedulers import Seen
from hpc.submit.submitted import SubmittedJob


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Stands for Slurm's client programs: `programs("squeue", "shell code")`; nothing else is in PATH."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def write(name, code):
        path = folder / name
        path.write_text(f"#!/bin/sh\n{code}\n")
        path.chmod(0o755)

    return write


class Scheduler:
    def __init__(self):
        self.seen = Seen("pending")
        self.now = 0.0

    def look(self):
        return self.seen

    def clock(self):
        return self.now


@pytest.fixture
def scheduler():
    return Scheduler()


@pytest.fixture
def job(tmp_path, scheduler):
    return SubmittedJob("name", "41", "slurm", tmp_path, tmp_path, 2, scheduler, scheduler.clock)
