"""The private folder of a job: its name, what its ranks find in it, and the record by which it is found again."""

from __future__ import annotations

import secrets
import sys
import time
from dataclasses import asdict
from pathlib import Path

from hpc.disk.files import atomic_write_json
from hpc.disk.trusted import check_folder, private_folder
from hpc.job.request import REQUEST, JobRequest, RankRequest
from hpc.submit.submitted import RECORD, SubmittedJob, submission_number


def new_name(run_folder: Path) -> Path:
    """A folder for the next submission of a run, which no other has; it is not made yet.

    Raises `EnvironmentProblem` where another user could exchange it.
    """
    check_folder(run_folder)  # before anything is made in it
    run_folder.mkdir(parents=True, exist_ok=True)
    check_folder(run_folder)
    jobs = private_folder(run_folder / "jobs")
    # The number says which submission came last, whatever the clocks say.
    number = max((submission_number(folder) for folder in jobs.iterdir()), default=0) + 1
    return jobs / f"{number:06d}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(4)}"


def write_request(folder: Path, request: JobRequest, time_min: float | None, mpi: bool) -> None:
    """Make the folder of a job, or of a task of an array, with what its ranks are to do; `time_min` is its limit."""
    folder.mkdir(mode=0o700)
    of_rank = RankRequest(
        entry_point=request.entry_point,
        config=request.config,
        job_folder=str(folder),
        time_min=time_min,
        device=request.device,
        mpi=mpi,
        array_task=request.array_task,
        num_array_tasks=request.num_array_tasks,
    )
    atomic_write_json(folder / REQUEST, asdict(of_rank))


def rank_command(folder: Path) -> list[str]:
    """What starts a rank; of an array, `folder` is what all tasks name (`hpc.job.on_node`).

    `-P`: whoever can write to the folder that this was typed in must not add modules.
    """
    return [sys.executable, "-u", "-P", "-m", "hpc.job.on_node", str(folder)]


def recorded(job: SubmittedJob) -> SubmittedJob:
    """Note what was submitted; a job that nobody could find again (a full disk) is ended."""
    try:
        atomic_write_json(job.job_folder / RECORD, job.record())
    except BaseException:
        job.kill()
        raise
    return job
