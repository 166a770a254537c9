"""The only place that builds a submission, for Slurm or for this machine.

What is submitted is a command with the name of a private folder, in which each rank finds plain data
(`hpc.job.request`). The job asks for its own requeue (`hpc.ranks.requeue`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from hpc.disk.trusted import private_folder
from hpc.errors import EnvironmentProblem
from hpc.job.on_node import task_folder
from hpc.job.profile import SiteProfile
from hpc.job.request import JobRequest
from hpc.machine.processes import process_started
from hpc.machine.processors import set_here
from hpc.ranks.topology import set_by_a_launcher
from hpc.submit.job_folder import new_name, rank_command, recorded, write_request
from hpc.submit.sbatch import REPOSITORY, SITE_CHOICES, run_sbatch
from hpc.submit.schedulers import LocalProcess, SlurmJobs, SlurmQueue, slurm_command
from hpc.submit.submitted import CONTROLLER_LOG, Cluster, SubmittedJob

_SBATCH_ALWAYS_OURS = frozenset(
    f"SBATCH_{name}"
    for name in [
        "ARRAY_INX",
        "EXPORT",
        "JOB_NAME",
        "NO_REQUEUE",
        "OPEN_MODE",
        "REQUEUE",
        "SIGNAL",
        "TIMELIMIT",
        "WAIT",
    ]
)
log = logging.getLogger(__name__)


def resolve_cluster(wanted: Literal["auto", "slurm", "local"]) -> Cluster:
    """Choose where to run: `auto` takes Slurm where `srun` is found and a controller answers, else this
    machine.

    Raises `EnvironmentProblem` when Slurm is wanted and is not there.
    """
    if wanted == "local":
        return "local"
    problem = _slurm_problem()
    if problem is None:
        return "slurm"
    if wanted == "slurm":
        raise EnvironmentProblem(f"{problem} Start this on a login node of the cluster, or use --cluster local.")
    if shutil.which("srun") is not None:
        log.warning("%s Running on this machine instead (--cluster local says so without asking).", problem)
    return "local"


def submit(request: JobRequest, profile: SiteProfile, cluster: Cluster) -> SubmittedJob:
    """Hand a job over and return at once; raises `EnvironmentProblem` when the scheduler refuses it."""
    if cluster == "slurm":
        return submit_array([request], profile)[0]
    job_folder = new_name(request.folder)
    write_request(job_folder, request, None, mpi=False)
    return recorded(_start_locally(request, profile, job_folder))


def submit_array(requests: Sequence[JobRequest], profile: SiteProfile) -> list[SubmittedJob]:
    """Hand over jobs that differ in name and configuration only, as one Slurm job array where there are several.

    Every task has a private folder of its own, is requeued by itself and ends by itself.
    """
    shared = new_name(requests[0].folder)
    folders = [shared] if len(requests) == 1 else [task_folder(shared, task) for task in range(len(requests))]
    for request, folder in zip(requests, folders, strict=True):
        write_request(folder, request, request.time_min, profile.mpi != "none")
    log_folder = private_folder(requests[0].folder / "logs")
    with _clean_environment(profile):
        job_id = run_sbatch(requests, profile, log_folder, shared, shlex.join(rank_command(shared)))
    ids = [job_id] if len(requests) == 1 else [f"{job_id}_{task}" for task in range(len(requests))]
    queue = SlurmQueue(job_id)
    return [
        recorded(
            SubmittedJob(request.name, each, "slurm", folder, log_folder, request.num_tasks, SlurmJobs(each, queue))
        )
        for request, folder, each in zip(requests, folders, ids, strict=True)
    ]


def _start_locally(request: JobRequest, profile: SiteProfile, job_folder: Path) -> SubmittedJob:
    """One process a rank on this machine, below one that does what Slurm would (`hpc.submit.local_tasks`).

    That one is in a session of its own: in the launcher's, Ctrl-C would reach the tasks beside the launcher and kill
    them a second later. The logs lie in a folder of their own, because a pid comes again.
    """
    log_folder = private_folder(private_folder(request.folder / "logs") / job_folder.name)
    with _clean_environment(profile):
        environment = os.environ | {
            "SUBMITIT_EXECUTOR": "local",
            "SUBMITIT_LOCAL_COMMAND": shlex.join(rank_command(job_folder)),
            "SUBMITIT_LOCAL_NTASKS": str(request.num_tasks),
            "SUBMITIT_LOCAL_JOB_NUM_NODES": "1",
            "SUBMITIT_LOCAL_NODEID": "0",
            **{variable.name: variable.value for variable in profile.environment},
            "PYTHONPATH": os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")])),
        }
    with (log_folder / CONTROLLER_LOG).open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "hpc.submit.local_tasks", str(log_folder)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    scheduler = LocalProcess(process.pid, log_folder, process, process_started(process.pid))
    return SubmittedJob(request.name, str(process.pid), "local", job_folder, log_folder, request.num_tasks, scheduler)


@contextlib.contextmanager
def _clean_environment(profile: SiteProfile) -> Iterator[None]:
    """Hide what an allocation or a launcher around this process has set, as the new job would inherit it.

    SBATCH_ variables win over the batch script: those stay only where neither the launcher nor the profile
    decides. (submitit's `clean_env` also hides SLURM_CONF, without which a cluster is not found.)
    """
    decided = {f"SBATCH_{name.upper()}" for name in SITE_CHOICES if getattr(profile, name) is not None}
    decided.update(_SBATCH_ALWAYS_OURS)
    hidden = {
        name: os.environ.pop(name)
        for name in list(os.environ)
        if set_by_a_launcher(name) or name in {*decided, *set_here()}
    }
    try:
        yield
    finally:
        os.environ.update(hidden)


def _slurm_problem() -> str | None:
    """Why Slurm cannot be used here, or None; takes a few seconds at most."""
    missing = [name for name in ("srun", "sbatch", "scontrol") if shutil.which(name) is None]
    if missing:
        return f"No Slurm here: {', '.join(missing)} not found in PATH."
    answer = slurm_command("scontrol", "ping", timeout_s=8.0)
    if answer is not None and "is UP" in answer.stdout:
        return None
    detail = "no answer in 8 s" if answer is None else (answer.stderr or answer.stdout).strip().splitlines()[-1:]
    text = detail if isinstance(detail, str) else "".join(detail) or "no answer"
    return f"Slurm's programs are installed, but no controller answers ({text})."
