"""Which rank this process is, and which incarnation of which job: the only reader of rank variables.

Slurm, MPI, torchrun, submitit's local executor and a plain process set different names for the same five numbers;
one table maps them. Slurm's `SLURM_PROCID` alone is not a launch: a shell inside an allocation has it too, therefore
`SLURM_STEP_ID` is asked for as well.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from hpc.errors import EnvironmentProblem, InputError
from hpc.machine.processors import usable_processors

Launcher = Literal["slurm", "submitit-local", "torchrun", "mpi", "single"]

# launcher -> (rank, world_size, local_rank, local_world_size, node_rank) variable names; None where there is none
_NAMES: dict[Launcher, tuple[str, str, str, str | None, str | None]] = {
    "torchrun": ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK"),
    "submitit-local": (
        "SUBMITIT_LOCAL_GLOBALID",
        "SUBMITIT_LOCAL_NTASKS",
        "SUBMITIT_LOCAL_LOCALID",
        "SUBMITIT_LOCAL_NTASKS",
        "SUBMITIT_LOCAL_NODEID",
    ),
    "slurm": ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", None, "SLURM_NODEID"),
}
_MPI_NAMES = (
    (
        "OMPI_COMM_WORLD_RANK",
        "OMPI_COMM_WORLD_SIZE",
        "OMPI_COMM_WORLD_LOCAL_RANK",
        "OMPI_COMM_WORLD_LOCAL_SIZE",
        None,
    ),
    ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS", None),
)
# For the shell of a batch script, which runs before any Python of ours
SHELL_ARRAY_JOB, SHELL_ARRAY_TASK = "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"
SHELL_RESTARTS = "${SLURM_RESTART_COUNT:-0}"
# A number of ranks other than 1 in one of these means that somebody started several
_SIZES = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS")
# What an allocation or a launcher sets for its own processes, by how it begins or by name, and what stays all the same:
# where the cluster is.
_FOREIGN = ("SLURM_", "SLURMD_", "SRUN_", "SUBMITIT_", "PMI_", "PMIX_", "OMPI_COMM_", "TORCHELASTIC_")
_TORCH = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT")
_KEPT = ("SLURM_CONF", "SLURM_JWT", "SUBMITIT_LOG_LEVEL")


def set_by_a_launcher(name: str) -> bool:
    """Whether a variable says what a process is in the job around it, which a new job must not inherit."""
    return (name.startswith(_FOREIGN) and name not in _KEPT) or name in _TORCH


@dataclass(frozen=True)
class Topology:
    """Place of this process among the ranks of its job."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1
    node_rank: int = 0
    num_nodes: int = 1
    host: str = "localhost"
    launcher: Launcher = "single"
    num_cpus: int = 1
    """Processors this rank may keep busy: what Slurm gave the task, else its share of the machine."""

    def __post_init__(self) -> None:
        if not (0 <= self.rank < self.world_size and 0 <= self.local_rank < max(self.local_world_size, 1)):
            raise EnvironmentProblem(
                f"rank {self.rank} of {self.world_size}, local rank {self.local_rank} of {self.local_world_size} "
                f"({self.launcher}): these do not fit together. Start it with a command of snw-dist."
            )

    @staticmethod
    def detect(environ: Mapping[str, str] = os.environ) -> Topology:
        """Read the launcher's variables; raises `EnvironmentProblem` when they are incomplete or contradict."""
        launcher = _launcher(environ)
        if launcher == "single":
            return Topology(host=socket.gethostname(), num_cpus=_num_cpus(environ, 1))
        names = _NAMES[launcher] if launcher != "mpi" else next(n for n in _MPI_NAMES if n[0] in environ)
        rank, world_size, local_rank = (_integer(environ, name, launcher) for name in names[:3])
        if launcher == "slurm":
            _check_not_inside_mpirun(environ, rank, world_size)
        num_nodes = max(1, _integer(environ, "SLURM_NNODES", launcher, "1")) if launcher == "slurm" else 1
        if names[3] is not None:
            local_world_size = max(1, _integer(environ, names[3], launcher))
        else:
            local_world_size = max(world_size // num_nodes, local_rank + 1)
        if launcher in ("torchrun", "mpi"):
            num_nodes = max(1, world_size // local_world_size)
        node_rank = _integer(environ, names[4], launcher, "0") if names[4] else rank // local_world_size
        declared = environ.get("SLURM_STEP_NUM_TASKS") if launcher == "slurm" else None
        if declared is not None and declared != str(world_size):
            raise EnvironmentProblem(
                f"SLURM_NTASKS={world_size} but the step has {declared} tasks: the ranks would not agree. "
                "Do not change the number of tasks inside the job."
            )
        host, num_cpus = socket.gethostname(), _num_cpus(environ, local_world_size)
        return Topology(rank, world_size, local_rank, local_world_size, node_rank, num_nodes, host, launcher, num_cpus)


@dataclass(frozen=True)
class JobIdentity:
    """The scheduler's name for this job and for this incarnation of it."""

    job_id: str | None = None
    """What `scontrol` and `squeue` take: for an array task `ARRAYJOB_TASK`, never the parent's id, because
    requeueing the parent requeues the whole array."""
    restart_count: int = 0

    @property
    def array_task(self) -> int | None:
        """Which task of a job array this is; None where the job is no array."""
        _, _, task = (self.job_id or "").partition("_")
        return int(task) if task.isascii() and task.isdigit() else None

    @staticmethod
    def detect(environ: Mapping[str, str] = os.environ) -> JobIdentity:
        """Read the job id; outside Slurm it is None."""
        job_id = environ.get("SLURM_JOB_ID")
        if "SLURM_ARRAY_JOB_ID" in environ and "SLURM_ARRAY_TASK_ID" in environ:
            job_id = f"{environ['SLURM_ARRAY_JOB_ID']}_{environ['SLURM_ARRAY_TASK_ID']}"
        # Slurm leaves the variable unset on the first run.
        return JobIdentity(job_id, _integer(environ, "SLURM_RESTART_COUNT", "slurm", "0"))


@dataclass(frozen=True)
class Allocation:
    """What Slurm has given the batch script, or the shell below `salloc`, in which this process was started."""

    identity: JobIdentity
    nodes: int
    tasks_per_node: int
    cpus_per_task: int = 1
    array_task: int = 0
    """Of the neighbouring numbers that were asked for, counted from 0."""
    num_array_tasks: int = 1

    @staticmethod
    def detect(environ: Mapping[str, str] = os.environ) -> Allocation:
        """Read Slurm's variables.

        Raises `EnvironmentProblem` outside an allocation and in one of several tasks, `InputError` for an uneven one.
        """
        identity = JobIdentity.detect(environ)
        if identity.job_id is None:
            raise EnvironmentProblem(
                "--cluster allocation: there is no allocation of Slurm around this command. Start it in a batch "
                "script, such as slurm/train.sbatch, or below salloc."
            )
        if environ.get("SLURM_STEP_NUM_TASKS", "1") != "1":
            raise EnvironmentProblem(
                "--cluster allocation: srun has started this command several times. Start it without srun: it calls "
                "srun itself."
            )
        nodes = _integer(environ, "SLURM_JOB_NUM_NODES", "slurm")
        tasks_of_node = _integer(environ, "SLURM_NTASKS_PER_NODE", "slurm", "1")
        tasks = _integer(environ, "SLURM_NTASKS", "slurm", str(nodes * tasks_of_node))
        if nodes < 1 or tasks % nodes:
            raise InputError(
                f"{tasks} tasks on {nodes} nodes: every node needs as many as the others. Ask for --ntasks-per-node "
                "in place of --ntasks."
            )
        cpus = _integer(environ, "SLURM_CPUS_PER_TASK", "slurm", "1")
        return Allocation(identity, nodes, tasks // nodes, cpus, *_place_in_array(environ))


def _place_in_array(environ: Mapping[str, str]) -> tuple[int, int]:
    """The place of this task among those of its array, and how many there are."""
    if "SLURM_ARRAY_TASK_ID" not in environ:
        return 0, 1
    task, first, last, count = (
        _integer(environ, f"SLURM_ARRAY_TASK_{name}", "slurm") for name in ("ID", "MIN", "MAX", "COUNT")
    )
    if last - first != count - 1:
        raise InputError(
            f"the array has {count} tasks from {first} to {last}: ask for neighbouring numbers, such as --array=0-7. "
            "What is done already is not done again."
        )
    return task - first, count


def torch_address(environ: Mapping[str, str] = os.environ) -> tuple[str, str]:
    """Address and port of rank 0, as `export_for_torch` has set them."""
    return environ.get("MASTER_ADDR", ""), environ.get("MASTER_PORT", "")


def local_controller(environ: Mapping[str, str] = os.environ) -> int | None:
    """The process (`hpc.submit.local_tasks`) that runs the ranks on this machine, if this is one of them."""
    pid = environ.get("SUBMITIT_LOCAL_JOB_ID", "")
    return int(pid) if pid.isascii() and pid.isdigit() and environ.get("SUBMITIT_EXECUTOR") == "local" else None


def export_for_torch(topology: Topology, address: str, port: int) -> None:
    """Set the variables DeepSpeed insists on; with one of them missing it would start MPI by itself."""
    os.environ.update(
        RANK=str(topology.rank),
        WORLD_SIZE=str(topology.world_size),
        LOCAL_RANK=str(topology.local_rank),
        LOCAL_SIZE=str(topology.local_world_size),
        MASTER_ADDR=address,
        MASTER_PORT=str(port),
    )


def _launcher(environ: Mapping[str, str]) -> Launcher:
    if "TORCHELASTIC_RUN_ID" in environ:
        return "torchrun"
    if environ.get("SUBMITIT_EXECUTOR") == "local":
        return "submitit-local"
    if "SLURM_STEP_ID" in environ:
        return "slurm"
    if any(names[0] in environ for names in _MPI_NAMES):
        return "mpi"
    for name in _SIZES:
        if environ.get(name, "1") != "1":
            raise EnvironmentProblem(
                f"{name}={environ[name]} but the variables of no known launcher are there: refusing to run as "
                "several jobs of one rank. Start it with a command of snw-dist, or with srun inside the allocation."
            )
    return "single"


def _check_not_inside_mpirun(environ: Mapping[str, str], rank: int, world_size: int) -> None:
    """With mpirun inside a Slurm step the Slurm variables are those of its helper, equal for all ranks of a node."""
    for rank_name, size_name, *_ in _MPI_NAMES:
        theirs = environ.get(rank_name, str(rank)), environ.get(size_name, str(world_size))
        if theirs != (str(rank), str(world_size)):
            raise EnvironmentProblem(
                f"Slurm says rank {rank} of {world_size}, {rank_name} and {size_name} say {theirs[0]} of {theirs[1]}: "
                "start the ranks with srun alone, not with mpirun inside a job step."
            )


def _num_cpus(environ: Mapping[str, str], local_world_size: int) -> int:
    for name in ("OMP_NUM_THREADS", "SLURM_CPUS_PER_TASK"):
        if environ.get(name, "").isdigit():
            return max(1, int(environ[name]))
    return max(1, usable_processors() // local_world_size)


def _integer(environ: Mapping[str, str], name: str, launcher: str, default: str = "") -> int:
    value = environ.get(name, default)
    if not (value.isascii() and value.isdigit()):
        raise EnvironmentProblem(
            f"{launcher} start without {name} (found {value!r}): refusing to run as several independent jobs of one "
            "rank. Start it with a command of snw-dist, or with srun inside the allocation."
        )
    return int(value)
