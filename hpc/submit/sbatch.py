"""The batch script of a job, and how it is handed to Slurm.

submitit writes the script and runs sbatch. Its pickles are not used: the command is our own (`hpc.job.on_node`), and
what it is to do is plain data. It is imported where Slurm is used: who works on one machine does without.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hpc
from hpc.errors import EnvironmentProblem
from hpc.job.profile import SiteProfile
from hpc.job.request import JobRequest
from hpc.submit.site_setup import setup_lines
from hpc.submit.task_names import naming_lines

REPOSITORY = Path(hpc.__file__).resolve().parents[1]
SITE_CHOICES = ("partition", "account", "qos", "constraint", "reservation")


def run_sbatch(
    requests: Sequence[JobRequest], profile: SiteProfile, log_folder: Path, folder: Path, command: str
) -> str:
    """Hand a job, or an array of several, to Slurm; its id. `folder` is its own.

    Raises `EnvironmentProblem` when Slurm refuses it.
    """
    from submitit.slurm.slurm import SlurmExecutor

    try:
        executor = SlurmExecutor(folder=log_folder)
        parameters = slurm_parameters(requests[0], profile, folder)
        parameters["setup"] = [*naming_lines([request.name for request in requests]), *parameters["setup"]]
        executor.update_parameters(**parameters)
        if len(requests) > 1:
            executor.update_parameters(array_parallelism=len(requests))
            executor.parameters["map_count"] = len(requests)
        return str(executor._submit_command(command).job_id)
    except (RuntimeError, OSError) as error:
        raise EnvironmentProblem(f"Slurm did not take the job: {_sbatch_says(error)}") from None


def render_sbatch(
    request: JobRequest, profile: SiteProfile, command: str = "COMMAND", folder: Path = Path("FOLDER")
) -> str:
    """The batch script that `submit` would hand to Slurm, for an array that of all tasks; needs no Slurm."""
    from submitit.slurm.slurm import _make_sbatch_string

    tasks = request.num_array_tasks
    array = {"array_parallelism": tasks, "map_count": tasks} if tasks > 1 else {}
    text: str = _make_sbatch_string(
        command=command, folder=request.folder / "logs", **slurm_parameters(request, profile, folder), **array
    )
    return text


def slurm_parameters(request: JobRequest, profile: SiteProfile, folder: Path) -> dict[str, Any]:
    """A request at a site, in the words of submitit's Slurm executor; `folder` is that of the job, or of its array."""
    asked_for = {name: getattr(profile, name) for name in SITE_CHOICES if name != "reservation"}
    asked_for["gpus_per_node"] = profile.gpus_per_node or None
    asked_for["mem"] = None if profile.mem_gb_per_node is None else f"{profile.mem_gb_per_node}GB"
    further: dict[str, Any] = {"requeue": True}
    if profile.reservation is not None:  # submitit has no parameter for it
        further["reservation"] = profile.reservation
    return {
        "job_name": request.name if request.num_array_tasks == 1 else request.array_name or request.name,
        "nodes": request.nodes,
        "ntasks_per_node": request.tasks_per_node,
        "cpus_per_task": profile.cpus_per_task,
        "time": request.time_min,
        "signal_delay_s": _signal_delay_s(request, profile),
        "wckey": None,  # submitit's default names one, which clusters that check wckeys refuse
        "setup": [*setup_lines(profile.setup, folder), *_exports(profile)],
        "srun_args": srun_args(profile),
        "additional_parameters": further | profile.additional_parameters,
        **{name: value for name, value in asked_for.items() if value is not None},
    }


def _signal_delay_s(request: JobRequest, profile: SiteProfile) -> int:
    """At most a third of the time: Slurm may signal a minute early and stop a short job at its start."""
    return min(profile.signal_delay_s, request.time_min * 60 // 3)


def _exports(profile: SiteProfile) -> list[str]:
    lines = [f"export PYTHONPATH={shlex.quote(str(REPOSITORY))}${{PYTHONPATH:+:$PYTHONPATH}}"]
    for variable in profile.environment:
        lines += [f"# {variable.reason}", f"export {variable.name}={shlex.quote(variable.value)}"]
    return lines


def srun_args(profile: SiteProfile) -> list[str]:
    """How the ranks of a job are started, whoever has asked Slurm for its nodes."""
    return [
        "--kill-on-bad-exit=1",  # otherwise the other ranks wait in a collective for one that has died
        "--wait=0",  # some sites end all tasks some time after the first one has ended well
        "--export=ALL",  # some sites set SLURM_EXPORT_ENV=NONE, and the lines above would have no effect
        f"--cpus-per-task={profile.cpus_per_task}",  # since Slurm 22.05 srun does not take it from sbatch
        f"--mpi={profile.mpi}",
        *profile.srun_args,
    ]


def _sbatch_says(error: BaseException) -> str:
    """What sbatch printed, without the traceback around it."""
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    text = str(error).strip() or type(error).__name__
    if isinstance(error, FailedJobError | FailedSubmissionError):
        lines = [line.removeprefix("sbatch: ").removeprefix("error: ") for line in text.splitlines()]
        return " ".join(lines) + " Check partition, account and limits in the profile."
    return text
