"""The only place that builds a submission, for Slurm or for this machine.

What is submitted is a command with the name of a private folder, in which each rank finds plain data
(`hpc.job.request`). The job asks for its own requeue (`hpc.ranks.requeue`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from hpc.disk.files import atomic_write_json
from hpc.disk.trusted import check_folder, private_folder
from hpc.errors import EnvironmentProblem
from hpc.job.on_node import task_folder
from hpc.job.profile import SiteProfile
from hpc.job.request import REQUEST, JobRequest, RankRequest
from hpc.machine.processes import process_started
from hpc.machine.processors import set_here
from hpc.ranks.topology import set_by_a_launcher
from hpc.submit.sbatch import REPOSITORY, SITE_CHOICES, render_sbatch, run_sbatch
from hpc.submit.schedulers import LocalProcess, SlurmJobs, SlurmQueue, slurm_command
from hpc.submit.submitted import CONTROLLER_LOG, RECORD, Cluster, SubmittedJob, submission_number

__all__ = ["JobRequest", "render_sbatch", "resolve_cluster", "submit", "submit_array"]
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
    [job_folder] = _prepare([request], profile, cluster)
    return _recorded(_start_locally(request, profile, job_folder))


def submit_array(requests: Sequence[JobRequest], profile: SiteProfile) -> list[SubmittedJob]:
    """Hand over jobs that differ in name and configuration only, as one Slurm job array where there are several.

    Every task has a private folder of its own, is requeued by itself and ends by itself.
    """
    folders = _prepare(requests, profile, "slurm")
    log_folder = private_folder(requests[0].folder / "logs")
    shared = _shared_name(folders)
    with _clean_environment(profile):
        job_id = run_sbatch(requests, profile, log_folder, shared, _command(shared))
    ids = [job_id] if len(requests) == 1 else [f"{job_id}_{task}" for task in range(len(requests))]
    queue = SlurmQueue(job_id)
    return [
        _recorded(
            SubmittedJob(request.name, each, "slurm", folder, log_folder, request.num_tasks, SlurmJobs(each, queue))
        )
        for request, folder, each in zip(requests, folders, ids, strict=True)
    ]


def _prepare(requests: Sequence[JobRequest], profile: SiteProfile, cluster: Cluster) -> list[Path]:
    """Make the private folders of a submission, none of which another has, with what its ranks are to do."""
    run_folder = requests[0].folder
    check_folder(run_folder)  # before anything is made in it
    run_folder.mkdir(parents=True, exist_ok=True)
    check_folder(run_folder)
    jobs = private_folder(run_folder / "jobs")
    # The number says which submission came last, whatever the clocks say.
    number = max((submission_number(folder) for folder in jobs.iterdir()), default=0) + 1
    first = jobs / f"{number:06d}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(4)}"
    folders = [first] if len(requests) == 1 else [task_folder(first, task) for task in range(len(requests))]
    for request, folder in zip(requests, folders, strict=True):
        folder.mkdir(mode=0o700)
        of_rank = RankRequest(
            entry_point=request.entry_point,
            config=request.config,
            job_folder=str(folder),
            time_min=request.time_min if cluster == "slurm" else None,
            device=request.device,
            mpi=cluster == "slurm" and profile.mpi != "none",
            array_task=request.array_task,
            num_array_tasks=request.num_array_tasks,
        )
        atomic_write_json(folder / REQUEST, asdict(of_rank))
    return folders


def _shared_name(folders: Sequence[Path]) -> Path:
    """What the one command of all tasks names; see `hpc.job.on_node`."""
    return folders[0] if len(folders) == 1 else folders[0].with_name(folders[0].name.rpartition("_")[0])


def _command(folder: Path) -> str:
    """What starts a rank. `-P`: whoever can write to the folder that this was typed in must not add modules."""
    return shlex.join([sys.executable, "-u", "-P", "-m", "hpc.job.on_node", str(folder)])


def _start_locally(request: JobRequest, profile: SiteProfile, job_folder: Path) -> SubmittedJob:
    """One process a rank on this machine, below one that does what Slurm would (`hpc.submit.local_tasks`).

    That one is in a session of its own: in the launcher's, Ctrl-C would reach the tasks beside the launcher and kill
    them a second later. The logs lie in a folder of their own, because a pid comes again.
    """
    log_folder = private_folder(private_folder(request.folder / "logs") / job_folder.name)
    with _clean_environment(profile):
        environment = os.environ | {
            "SUBMITIT_EXECUTOR": "local",
            "SUBMITIT_LOCAL_COMMAND": _command(job_folder),
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


def _recorded(job: SubmittedJob) -> SubmittedJob:
    """Note what was submitted; a job that nobody could find again (a full disk) is ended."""
    try:
        atomic_write_json(job.job_folder / RECORD, job.record())
    except BaseException:
        job.kill()
        raise
    return job


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
