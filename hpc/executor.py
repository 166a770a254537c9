"""The only place that builds a submission, for Slurm or for this machine.

What is submitted is a name and plain data: submitit's pickle holds `hpc.executor.run_on_node` by name and one
dictionary. The callable has no `checkpoint` attribute, because the job asks for its own requeue
(`hpc.preemption`).
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from submitit.core.job_environment import JobEnvironment
from submitit.core.utils import FailedJobError, FailedSubmissionError
from submitit.local.local import LocalExecutor, LocalJob
from submitit.slurm.slurm import SlurmExecutor, _make_sbatch_string

import hpc
from hpc.errors import EnvironmentProblem, InputError
from hpc.files import atomic_write_json
from hpc.processes import process_started
from hpc.profile import SiteProfile, one_line
from hpc.schedulers import LocalProcess, SlurmJobs, SlurmQueue, slurm_command
from hpc.submitted import RECORD, Cluster, SubmittedJob, submission_number

_REPOSITORY = Path(hpc.__file__).resolve().parents[1]
_LOCAL_TIMEOUT_MIN = 60 * 24 * 365
_SITE_CHOICES = ("partition", "account", "qos", "constraint", "reservation")
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
_KEPT = ("SLURM_CONF", "SLURM_JWT", "SUBMITIT_LOG_LEVEL")
_FOREIGN = ("SLURM_", "SLURMD_", "SRUN_", "SUBMITIT_", "PMI_", "PMIX_", "OMPI_COMM_", "TORCHELASTIC_")
_TORCH = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobRequest:
    """What to run, as plain data; raises `InputError` for what cannot be submitted."""

    name: str
    """Becomes the Slurm job name."""
    entry_point: str
    """`package.module:function`"""
    config: dict[str, Any]
    """Plain data for the entry point, fit for JSON."""
    folder: Path
    """Run folder; the private folder of the job is made below `jobs`, what the ranks print goes to `logs`."""
    nodes: int
    tasks_per_node: int
    time_min: int
    device: str = "auto"
    array_task: int = 0
    """Which task of a job array this is."""
    num_array_tasks: int = 1

    def __post_init__(self) -> None:
        for name, text in (
            ("job name", self.name),
            ("entry point", self.entry_point),
            ("folder", str(self.folder)),
        ):
            try:
                one_line(text)
            except ValueError as error:
                raise InputError(f"{name} {text!r}: {error}.") from None
        if not self.name.strip():
            raise InputError("the job name is empty.")
        if any(character in str(self.folder) for character in "%\\"):
            raise InputError(f"{self.folder}: Slurm would replace parts of this name. Use a folder without % and \\.")
        if min(self.nodes, self.tasks_per_node, self.time_min) < 1:
            raise InputError("nodes, tasks_per_node and time_min must be at least 1.")
        try:
            plain = json.loads(json.dumps(self.config, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise InputError(f"the configuration is not plain data: {error}") from None
        object.__setattr__(self, "config", plain)
        object.__setattr__(self, "folder", Path(self.folder).expanduser().absolute())

    @property
    def num_tasks(self) -> int:
        """Ranks of the job."""
        return self.nodes * self.tasks_per_node


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
    payload = _prepare(request, profile, cluster)
    return _recorded(_start_locally(request, profile, payload))


def submit_array(requests: Sequence[JobRequest], profile: SiteProfile) -> list[SubmittedJob]:
    """Hand over several jobs that differ in their configuration only, as one Slurm job array where there are several.

    Every task has a private folder of its own, is requeued by itself and ends by itself.
    """
    payloads = [_prepare(request, profile, "slurm") for request in requests]
    log_folder = _private_folder(requests[0].folder / "logs")
    with _clean_environment(profile):
        try:
            executor = SlurmExecutor(folder=log_folder)
            executor.update_parameters(**slurm_parameters(requests[0], profile))
            if len(requests) == 1:
                ids = [executor.submit(run_on_node, payloads[0]).job_id]
            else:
                executor.update_parameters(array_parallelism=len(requests))
                ids = [job.job_id for job in executor.map_array(run_on_node, payloads)]
        except (RuntimeError, OSError) as error:
            raise EnvironmentProblem(f"Slurm did not take the job: {_sbatch_says(error)}") from None
    queue = SlurmQueue(ids[0].partition("_")[0])
    return [
        _recorded(
            SubmittedJob(
                request.name,
                job_id,
                "slurm",
                Path(payload["job_folder"]),
                log_folder,
                request.num_tasks,
                SlurmJobs(job_id, queue),
            )
        )
        for request, payload, job_id in zip(requests, payloads, ids, strict=True)
    ]


def _prepare(request: JobRequest, profile: SiteProfile, cluster: Cluster) -> dict[str, Any]:
    """Make the private folder of a job and say what its ranks get."""
    job_folder = _make_job_folder(request)
    atomic_write_json(job_folder / "request.json", asdict(request) | {"folder": str(request.folder)})
    return {
        "entry_point": request.entry_point,
        "config": request.config,
        "job_folder": str(job_folder),
        "time_min": request.time_min if cluster == "slurm" else None,
        "launcher": cluster,
        "device": request.device,
        "mpi": cluster == "slurm" and profile.mpi != "none",
        "array_task": request.array_task,
        "num_array_tasks": request.num_array_tasks,
    }


def _recorded(job: SubmittedJob) -> SubmittedJob:
    atomic_write_json(job.job_folder / RECORD, job.record())
    return job


def render_sbatch(request: JobRequest, profile: SiteProfile, command: str = "COMMAND") -> str:
    """The batch script that `submit` would hand to Slurm; needs no Slurm."""
    text: str = _make_sbatch_string(
        command=command, folder=request.folder / "logs", **slurm_parameters(request, profile)
    )
    return text


def slurm_parameters(request: JobRequest, profile: SiteProfile) -> dict[str, Any]:
    """A request at a site, in the words of submitit's Slurm executor."""
    asked_for = {name: getattr(profile, name) for name in _SITE_CHOICES if name != "reservation"}
    asked_for["gpus_per_node"] = profile.gpus_per_node or None
    asked_for["mem"] = None if profile.mem_gb_per_node is None else f"{profile.mem_gb_per_node}GB"
    further: dict[str, Any] = {"requeue": True}
    if profile.reservation is not None:  # submitit has no parameter for it
        further["reservation"] = profile.reservation
    return {
        "job_name": request.name,
        "nodes": request.nodes,
        "ntasks_per_node": request.tasks_per_node,
        "cpus_per_task": profile.cpus_per_task,
        "time": request.time_min,
        "signal_delay_s": _signal_delay_s(request, profile),
        "wckey": None,  # submitit's default names one, which clusters that check wckeys refuse
        "setup": [*profile.setup, *_exports(profile)],
        "srun_args": _srun_args(profile),
        "additional_parameters": further | profile.additional_parameters,
        **{name: value for name, value in asked_for.items() if value is not None},
    }


def run_on_node(payload: dict[str, Any]) -> None:
    """What the pickle names; runs as one rank."""
    # A rank killed while submitit wrote its result leaves this file, and the requeued job would fail at its
    # very end.
    result = JobEnvironment().paths.result_pickle
    result.with_suffix(result.suffix + ".save_tmp").unlink(missing_ok=True)
    # submitit would end the job with an error at a USR2 that comes before or after our own handler is there.
    signal.signal(signal.SIGUSR2, lambda number, frame: log.warning("USR2 while starting or ending: ignored"))
    from hpc.job import run_job  # heavy, and not for the launcher

    run_job(payload)


class _LocalExecutor(LocalExecutor):  # type: ignore[misc]
    """submitit's local executor with our own process for the tasks (`hpc.local_tasks`), in a session of its
    own.

    In the launcher's session Ctrl-C would reach the tasks beside the launcher and kill them a second later.
    Unlike submitit's, it does not hide the GPUs of the machine (`CUDA_VISIBLE_DEVICES`).
    """

    process: subprocess.Popen[bytes]

    def _submit_command(self, command: str) -> Any:
        num_tasks = self.parameters["tasks_per_node"]
        environment = os.environ | {
            "SUBMITIT_EXECUTOR": "local",
            "SUBMITIT_LOCAL_COMMAND": command,
            "SUBMITIT_LOCAL_NTASKS": str(num_tasks),
            "SUBMITIT_LOCAL_JOB_NUM_NODES": "1",
            "SUBMITIT_LOCAL_NODEID": "0",
            **self.parameters["environment"],
        }
        with (self.folder / "controller.log").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "hpc.local_tasks", str(self.folder)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        pid = self.process.pid
        return LocalJob(folder=self.folder, job_id=str(pid), process=self.process, tasks=list(range(num_tasks)))


def _start_locally(request: JobRequest, profile: SiteProfile, payload: dict[str, Any]) -> SubmittedJob:
    """One process a rank on this machine; submitit's local executor knows one node only.

    The logs lie in a folder of their own: a pid comes again, and tasks would then load the pickle of an older
    job.
    """
    job_folder = Path(payload["job_folder"])
    log_folder = _private_folder(request.folder / "logs", job_folder.name)
    variables = {variable.name: variable.value for variable in profile.environment}
    variables["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_REPOSITORY), os.environ.get("PYTHONPATH")]))
    executor = _LocalExecutor(folder=log_folder)
    executor.update_parameters(tasks_per_node=request.num_tasks, timeout_min=_LOCAL_TIMEOUT_MIN, environment=variables)
    with _clean_environment(profile):
        job_id = executor.submit(run_on_node, payload).job_id
    scheduler = LocalProcess(int(job_id), log_folder, executor.process, process_started(int(job_id)))
    return SubmittedJob(request.name, job_id, "local", job_folder, log_folder, request.num_tasks, scheduler)


def _signal_delay_s(request: JobRequest, profile: SiteProfile) -> int:
    """At most a third of the time: Slurm may signal a minute early and stop a short job at its start."""
    return min(profile.signal_delay_s, request.time_min * 60 // 3)


def _exports(profile: SiteProfile) -> list[str]:
    lines = [f"export PYTHONPATH={shlex.quote(str(_REPOSITORY))}${{PYTHONPATH:+:$PYTHONPATH}}"]
    for variable in profile.environment:
        lines += [f"# {variable.reason}", f"export {variable.name}={shlex.quote(variable.value)}"]
    return lines


def _srun_args(profile: SiteProfile) -> list[str]:
    return [
        "--kill-on-bad-exit=1",  # otherwise the other ranks wait in a collective for one that has died
        "--wait=0",  # some sites end all tasks some time after the first one has ended well
        "--export=ALL",  # some sites set SLURM_EXPORT_ENV=NONE, and the lines above would have no effect
        f"--cpus-per-task={profile.cpus_per_task}",  # since Slurm 22.05 srun does not take it from sbatch
        f"--mpi={profile.mpi}",
        *profile.srun_args,
    ]


@contextlib.contextmanager
def _clean_environment(profile: SiteProfile) -> Iterator[None]:
    """Hide what an allocation or a launcher around this process has set, as the new job would inherit it.

    SBATCH_ variables win over the batch script: those stay only where neither the launcher nor the profile
    decides. (submitit's `clean_env` also hides SLURM_CONF, without which a cluster is not found.)
    """
    decided = {f"SBATCH_{name.upper()}" for name in _SITE_CHOICES if getattr(profile, name) is not None}
    decided.update(_SBATCH_ALWAYS_OURS)
    hidden = {
        name: os.environ.pop(name)
        for name in list(os.environ)
        if (name.startswith(_FOREIGN) and name not in _KEPT) or name in _TORCH or name in decided
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


def _sbatch_says(error: BaseException) -> str:
    """What sbatch printed, without the traceback around it."""
    text = str(error).strip() or type(error).__name__
    if isinstance(error, FailedJobError | FailedSubmissionError):
        lines = [line.removeprefix("sbatch: ").removeprefix("error: ") for line in text.splitlines()]
        return " ".join(lines) + " Check partition, account and limits in the profile."
    return text


def _make_job_folder(request: JobRequest) -> Path:
    """A private folder that no other submission has; its number says which came last, whatever the clocks say."""
    request.folder.mkdir(parents=True, exist_ok=True)
    jobs = _private_folder(request.folder / "jobs")
    number = max((submission_number(folder) for folder in jobs.iterdir()), default=0) + 1
    folder = jobs / f"{number:06d}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(4)}"
    folder.mkdir(mode=0o700)
    return folder


def _private_folder(folder: Path, name: str | None = None) -> Path:
    """Make a folder that only its owner can use: who writes a pickle into it runs code as its owner."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise EnvironmentProblem(f"{folder}: belongs to somebody else. Choose another run folder.")
    folder.chmod(0o700)
    return folder if name is None else _private_folder(folder / name)
