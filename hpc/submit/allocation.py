"""A job in an allocation that is there already: that of a batch script (`slurm/train.sbatch`), or of `salloc`.

Nothing is submitted; srun starts the ranks. All else is as in `hpc.submit.executor`: the private folder with the
request, the record by which `status` finds the job, the logs, and what a rank does.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from rich.console import Console

from hpc.disk.trusted import private_folder
from hpc.errors import INTERRUPTED, EnvironmentProblem, ExitCode, InputError, SnwError, explaining
from hpc.job.on_node import task_folder
from hpc.job.profile import SiteProfile
from hpc.job.request import JobRequest
from hpc.machine.processors import set_here
from hpc.ranks.requeue import time_limit_min
from hpc.ranks.topology import Allocation, JobIdentity
from hpc.submit.follow import report, say
from hpc.submit.job_folder import new_name, rank_command, recorded, write_request
from hpc.submit.jobs_of_run import submitted_jobs
from hpc.submit.sbatch import REPOSITORY, srun_args
from hpc.submit.schedulers import Seen, SlurmJobs
from hpc.submit.submitted import SubmittedJob


def run_in_allocation(requests: Sequence[JobRequest], profile: SiteProfile, here: Allocation, console: Console) -> int:
    """Run jobs one after another, in a task of an array the one that is its own; the exit code that explains most.

    A job that Slurm has queued again goes on with what it was asked for at its first start. Of the profile only what
    concerns the ranks counts: `environment`, `srun_args` and `mpi`.

    Raises `InputError` where the array has not as many tasks as there are jobs.
    """
    own = list(requests)
    if here.num_array_tasks > 1:
        if len(requests) != here.num_array_tasks:
            raise InputError(
                f"{requests[0].array_name or requests[0].name} is no array of {here.num_array_tasks} tasks, but "
                f"{len(requests)} in all. Submit the batch script without --array."
            )
        own = [requests[here.array_task]]
    return explaining([_run(request, profile, here, console) for request in own])


def begun_before(folder: Path, name: str, identity: JobIdentity) -> SubmittedJob | None:
    """The job of this name that an earlier start of this allocation has begun, before Slurm has queued it again."""
    if identity.restart_count == 0:  # else two commands in one shell of salloc would be one
        return None
    with contextlib.suppress(SnwError):  # nothing was begun, or nothing can be read of it
        for job in reversed(submitted_jobs(folder)):
            if (job.name, job.job_id) == (name, identity.job_id):
                return job
    return None


def _run(request: JobRequest, profile: SiteProfile, here: Allocation, console: Console) -> int:
    job = begun_before(request.folder, request.name, here.identity) or _begun(request, profile, here)
    say(console, f"{job.name}: job {job.job_id} (slurm), folder {job.job_folder}")
    say(console, f"What its ranks say is in {job.log_folder}; how far it is: snw-dist status --folder {request.folder}")
    with _heard_signals() as heard:
        code = _srun(job, profile, here)
    if code and signal.SIGTERM in heard:
        say(console, "Slurm has ended this job. If it is queued again, it goes on from what is saved.")
        return int(ExitCode.PREEMPTED)
    if code and signal.SIGINT in heard:
        return INTERRUPTED
    job = SubmittedJob(
        *(job.name, job.job_id, job.cluster, job.job_folder, job.log_folder, here.nodes * here.tasks_per_node),
        _Ended(
            Seen("ended", f"srun ended with exit code {code}" if code else "COMPLETED", here.identity.restart_count)
        ),
    )
    return report(job, job.poll(), console)


def _begun(request: JobRequest, profile: SiteProfile, here: Allocation) -> SubmittedJob:
    """Leave what the ranks read, and the record by which others find the job."""
    assert here.identity.job_id is not None
    folder = task_folder(new_name(request.folder), here.identity.array_task)
    write_request(folder, request, time_limit_min(here.identity), profile.mpi != "none")
    logs, job_id = private_folder(request.folder / "logs"), here.identity.job_id
    return recorded(SubmittedJob(request.name, job_id, "slurm", folder, logs, request.num_tasks, SlurmJobs(job_id)))


def _srun(job: SubmittedJob, profile: SiteProfile, here: Allocation) -> int:
    """Start the ranks and wait for them; the exit code of srun. Raises `EnvironmentProblem` where it is not there."""
    environment = {name: value for name, value in os.environ.items() if name not in set_here()}
    environment |= {variable.name: variable.value for variable in profile.environment}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
    try:
        return subprocess.run(
            srun_command(job, profile, here), env=environment, stdin=subprocess.DEVNULL, check=False
        ).returncode
    except OSError as error:
        raise EnvironmentProblem(f"srun cannot be started ({error.strerror}). Is Slurm in PATH on this node?") from None


def srun_command(job: SubmittedJob, profile: SiteProfile, here: Allocation) -> list[str]:
    """What starts all ranks of a job in the allocation."""
    log, task = job.log_folder / f"{job.job_id}_%t_log", here.identity.array_task
    shared = job.job_folder
    if task is not None:  # see `hpc.job.on_node`
        shared = shared.with_name(shared.name.rpartition("_")[0])
    return [
        *("srun", "--unbuffered", "--open-mode=append", f"--output={log}.out", f"--error={log}.err"),
        *(f"--nodes={here.nodes}", f"--ntasks={here.nodes * here.tasks_per_node}"),
        f"--ntasks-per-node={here.tasks_per_node}",
        *srun_args(dataclasses.replace(profile, cpus_per_task=here.cpus_per_task)),
        *rank_command(shared),
    ]


@contextlib.contextmanager
def _heard_signals() -> Iterator[list[int]]:
    """Those that came while the ranks ran. Their answer is waited for.

    A batch script that ends inside the grace time of a preemption ends its job, which is then never queued again.
    """
    heard: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        heard.append(number)

    previous = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGUSR2, signal.SIGINT)}
    try:
        yield heard
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@dataclasses.dataclass(frozen=True)
class _Ended:
    """The scheduler of a job whose srun has ended."""

    seen: Seen

    def look(self) -> Seen:
        return self.seen

    def stop(self) -> None:
        """Nothing is left to be stopped."""

    def kill(self) -> None:
        """Nothing is left to be ended."""
