import os
import socket

import pytest

from hpc.errors import EnvironmentProblem, ExitCode, InputError
from hpc.ranks.topology import Allocation, JobIdentity, Topology, export_for_torch, local_controller, torch_address

TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "x",
    "RANK": "5",
    "WORLD_SIZE": "8",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "4",
    "GROUP_RANK": "1",
}
SUBMITIT = {
    "SUBMITIT_EXECUTOR": "local",
    "SUBMITIT_LOCAL_GLOBALID": "1",
    "SUBMITIT_LOCAL_LOCALID": "1",
    "SUBMITIT_LOCAL_NTASKS": "3",
    "SUBMITIT_LOCAL_NODEID": "0",
}
SLURM = {
    "SLURM_JOB_ID": "41",
    "SLURM_STEP_ID": "0",
    "SLURM_PROCID": "6",
    "SLURM_NTASKS": "8",
    "SLURM_LOCALID": "2",
    "SLURM_NODEID": "1",
    "SLURM_NNODES": "2",
    "SLURM_STEP_NUM_TASKS": "8",
}
OPEN_MPI = {
    "OMPI_COMM_WORLD_RANK": "3",
    "OMPI_COMM_WORLD_SIZE": "4",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
}
MPICH = {"PMI_RANK": "2", "PMI_SIZE": "4", "MPI_LOCALRANKID": "0", "MPI_LOCALNRANKS": "2"}
LAUNCHERS = {"torchrun": TORCHRUN, "submitit": SUBMITIT, "slurm": SLURM, "openmpi": OPEN_MPI, "mpich": MPICH}
# Left out, these are taken from the rest or have one meaning.
NOT_NEEDED = {"GROUP_RANK", "SUBMITIT_LOCAL_NODEID", "SLURM_NODEID", "SLURM_NNODES", "SLURM_STEP_NUM_TASKS"}
NOT_NEEDED |= {"SLURM_JOB_ID", "SUBMITIT_EXECUTOR", "TORCHELASTIC_RUN_ID", "SLURM_STEP_ID"}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, (0, 1, 0, 1, 0, 1, "single")),
        (TORCHRUN, (5, 8, 1, 4, 1, 2, "torchrun")),
        (SUBMITIT, (1, 3, 1, 3, 0, 1, "submitit-local")),
        (SLURM, (6, 8, 2, 4, 1, 2, "slurm")),
        (SLURM | {"SLURM_ARRAY_JOB_ID": "40", "SLURM_ARRAY_TASK_ID": "7"}, (6, 8, 2, 4, 1, 2, "slurm")),
        (OPEN_MPI, (3, 4, 1, 2, 1, 2, "mpi")),
        (MPICH, (2, 4, 0, 2, 1, 2, "mpi")),
        # srun --mpi=pmi2 sets both, and they agree
        (SLURM | {"PMI_RANK": "6", "PMI_SIZE": "8"}, (6, 8, 2, 4, 1, 2, "slurm")),
        # a local job started inside an allocation, for example by a test on a node
        (SLURM | SUBMITIT, (1, 3, 1, 3, 0, 1, "submitit-local")),
        # the batch script itself, and a shell of salloc on the login node
        ({"SLURM_JOB_ID": "41", "SLURM_PROCID": "0", "SLURM_NTASKS": "8"}, (0, 1, 0, 1, 0, 1, "single")),
        ({"SLURM_JOB_ID": "41", "SLURM_NTASKS": "8"}, (0, 1, 0, 1, 0, 1, "single")),
        ({"WORLD_SIZE": "1", "RANK": "0"}, (0, 1, 0, 1, 0, 1, "single")),
    ],
)
def test_place_of_a_rank(environ: dict[str, str], expected: tuple[object, ...]) -> None:
    found = Topology.detect(environ)
    place = (found.rank, found.world_size, found.local_rank, found.local_world_size, found.node_rank, found.num_nodes)
    assert (*place, found.launcher) == expected
    assert found.host == socket.gethostname()
    assert found.num_cpus >= 1


@pytest.mark.parametrize(
    ("launcher", "name"),
    [(launcher, name) for launcher, environ in LAUNCHERS.items() for name in environ if name not in NOT_NEEDED],
)
@pytest.mark.parametrize("value", [None, "", "-1", "two", "1.5", "²"])
def test_a_missing_or_unreadable_variable_is_never_a_job_of_one_rank(
    launcher: str, name: str, value: str | None
) -> None:
    environ = dict(LAUNCHERS[launcher])
    del environ[name]
    if value is not None:
        environ[name] = value
    with pytest.raises(EnvironmentProblem) as raised:
        Topology.detect(environ)
    assert raised.value.exit_code == ExitCode.ENVIRONMENT


@pytest.mark.parametrize("name", ["TORCHELASTIC_RUN_ID", "SLURM_STEP_ID"])
def test_without_its_mark_a_launcher_is_not_taken_for_none(name: str) -> None:
    environ = dict({"TORCHELASTIC_RUN_ID": TORCHRUN, "SLURM_STEP_ID": SLURM}[name])
    del environ[name]
    with pytest.raises(EnvironmentProblem, match="no known launcher"):
        Topology.detect(environ)


@pytest.mark.parametrize(
    "environ",
    [
        SLURM | {"SLURM_PROCID": "8"},
        SLURM | {"SLURM_STEP_NUM_TASKS": "4"},
        SLURM | {"SLURM_STEP_NUM_TASKS": "eight"},
        SLURM | {"SLURM_NTASKS": "0"},
        SLURM | {"SLURM_NNODES": "two"},
        # mpirun inside a job step: all ranks of a node have the Slurm variables of its helper
        SLURM | OPEN_MPI,
        SLURM | MPICH,
        SUBMITIT | {"SUBMITIT_LOCAL_GLOBALID": "3"},
        SUBMITIT | {"SUBMITIT_LOCAL_LOCALID": "3"},
        TORCHRUN | {"LOCAL_RANK": "4"},
        TORCHRUN | {"LOCAL_WORLD_SIZE": "0"},
        TORCHRUN | {"GROUP_RANK": "x"},
        OPEN_MPI | {"OMPI_COMM_WORLD_LOCAL_RANK": "2"},
        # an allocation's interactive step with the number of tasks of the allocation
        {
            "SLURM_STEP_ID": "4294967290",
            "SLURM_PROCID": "0",
            "SLURM_LOCALID": "0",
            "SLURM_NTASKS": "4",
            "SLURM_STEP_NUM_TASKS": "1",
        },
    ],
)
def test_contradictions_are_refused(environ: dict[str, str]) -> None:
    with pytest.raises(EnvironmentProblem):
        Topology.detect(environ)


def test_all_ranks_of_a_slurm_step_have_their_place() -> None:
    places = set()
    for rank in range(8):
        found = Topology.detect(
            SLURM | {"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank % 4), "SLURM_NODEID": str(rank // 4)}
        )
        places.add((found.rank, found.node_rank, found.local_rank))
    assert places == {(rank, rank // 4, rank % 4) for rank in range(8)}


@pytest.mark.parametrize(
    ("environ", "job_id", "restarts"),
    [
        ({}, None, 0),
        ({"SLURM_JOB_ID": "41"}, "41", 0),
        ({"SLURM_JOB_ID": "41", "SLURM_RESTART_COUNT": "3"}, "41", 3),
        ({"SLURM_JOB_ID": "43", "SLURM_ARRAY_JOB_ID": "40", "SLURM_ARRAY_TASK_ID": "7"}, "40_7", 0),
        ({"SLURM_JOB_ID": "43", "SLURM_ARRAY_JOB_ID": "40"}, "43", 0),
    ],
)
def test_name_of_the_job_and_of_its_incarnation(environ: dict[str, str], job_id: str | None, restarts: int) -> None:
    assert JobIdentity.detect(environ) == JobIdentity(job_id, restarts)
    assert JobIdentity.detect(environ).array_task == (7 if job_id == "40_7" else None)


def test_unreadable_restart_count_is_refused() -> None:
    with pytest.raises(EnvironmentProblem, match="SLURM_RESTART_COUNT"):
        JobIdentity.detect({"SLURM_RESTART_COUNT": "x"})


@pytest.mark.parametrize(
    ("environ", "expected"),
    [({"OMP_NUM_THREADS": "3", "SLURM_CPUS_PER_TASK": "5"}, 3), ({"SLURM_CPUS_PER_TASK": "5"}, 5)],
)
def test_processors_are_what_the_job_was_given(environ: dict[str, str], expected: int) -> None:
    assert Topology.detect(environ).num_cpus == expected


def test_processors_of_the_machine_are_shared_out() -> None:
    available = len(os.sched_getaffinity(0))
    assert Topology.detect({}).num_cpus == available
    assert Topology.detect(SUBMITIT | {"SUBMITIT_LOCAL_NTASKS": "1000"}).num_cpus == 1


def test_variables_for_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_SIZE", "MASTER_ADDR", "MASTER_PORT")
    for name in names:
        monkeypatch.setenv(name, "")
    export_for_torch(Topology.detect(SLURM), "10.0.0.1", 4711)
    assert [os.environ[name] for name in names] == ["6", "8", "2", "4", "10.0.0.1", "4711"]
    assert torch_address() == ("10.0.0.1", "4711")


def test_the_process_that_runs_local_ranks() -> None:
    assert local_controller(SUBMITIT | {"SUBMITIT_LOCAL_JOB_ID": "41"}) == 41
    assert local_controller(SLURM | {"SUBMITIT_LOCAL_JOB_ID": "41"}) is None
    assert local_controller(SUBMITIT | {"SUBMITIT_LOCAL_JOB_ID": "x"}) is None
    assert local_controller({}) is None


BATCH = {"SLURM_JOB_ID": "41", "SLURM_JOB_NUM_NODES": "2", "SLURM_PROCID": "0", "SLURM_RESTART_COUNT": "1"}
TASK = {"SLURM_ARRAY_JOB_ID": "40", "SLURM_ARRAY_TASK_ID": "5"}
ARRAY = TASK | {"SLURM_ARRAY_TASK_MIN": "4", "SLURM_ARRAY_TASK_MAX": "7", "SLURM_ARRAY_TASK_COUNT": "4"}


@pytest.mark.parametrize(
    ("further", "expected"),
    [
        ({}, (2, 1, 1, 0, 1)),
        ({"SLURM_NTASKS": "8", "SLURM_NTASKS_PER_NODE": "4", "SLURM_CPUS_PER_TASK": "3"}, (2, 4, 3, 0, 1)),
        ({"SLURM_NTASKS_PER_NODE": "4"}, (2, 4, 1, 0, 1)),
        (ARRAY, (2, 1, 1, 1, 4)),
        (ARRAY | {"SLURM_ARRAY_TASK_ID": "7"}, (2, 1, 1, 3, 4)),
        # an interactive step of salloc
        ({"SLURM_STEP_ID": "4294967290", "SLURM_STEP_NUM_TASKS": "1"}, (2, 1, 1, 0, 1)),
    ],
)
def test_an_allocation_says_what_it_has(further, expected):
    found = Allocation.detect(BATCH | further)
    assert found.identity == JobIdentity.detect(BATCH | further)
    assert (
        found.nodes,
        found.tasks_per_node,
        found.cpus_per_task,
        found.array_task,
        found.num_array_tasks,
    ) == expected


@pytest.mark.parametrize(
    ("environ", "error", "said"),
    [
        ({}, EnvironmentProblem, "no allocation of Slurm"),
        (BATCH | {"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2"}, EnvironmentProblem, "without srun"),
        (BATCH | {"SLURM_NTASKS": "3"}, InputError, "3 tasks on 2 nodes"),
        (BATCH | ARRAY | {"SLURM_ARRAY_TASK_COUNT": "3"}, InputError, "neighbouring numbers"),
        (BATCH | {"SLURM_NTASKS": "x"}, EnvironmentProblem, "SLURM_NTASKS"),
    ],
)
def test_an_allocation_that_does_not_fit_is_refused(environ, error, said):
    with pytest.raises(error, match=said):
        Allocation.detect(environ)
