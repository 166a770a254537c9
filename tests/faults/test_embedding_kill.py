"""SIGKILL and stop requests in the middle of embedding, then other numbers of ranks: always the same bytes."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hpc.disk.files import file_digest
from snw_dist.config import SnwConfig, config_from_dict, config_to_dict
from snw_dist.data.ensure import ensure_prepared
from tests.kit.ranks import REPOSITORY, Ranks, run_ranks, start_ranks

pytestmark = [pytest.mark.faults, pytest.mark.distributed, pytest.mark.timeout(300)]
ENTRY_POINT = "snw_dist.embedding.run:run_embedding"
DATA = Path(__file__).parents[1] / "data" / "mhc_binding"
WAYS = ("ranks", "mpi", "array")
REPEATS = int(os.environ.get("SNW_FAULT_REPEATS", "4"))


def configuration(folder: Path, store: str) -> SnwConfig:
    values: dict[str, Any] = {
        "run": {"name": store, "folder": str(folder / "runs")},
        "data": {key: str(DATA / f"{key}.fasta") for key in ("ligands", "receptors")}
        | {"pairs": str(DATA / "pairs.csv"), "columns": {"binary": "binds"}},
        "store": {"path": str(folder / store), "shard_rows": 512, "chunk_rows": 64},
        "encoder": {"tokens_per_batch": 256},
    }
    config = config_from_dict(values)
    ensure_prepared(config)
    return config


def tree(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): file_digest(p) for p in sorted(folder.rglob("*")) if p.is_file()}


def records(config: SnwConfig) -> list[dict[str, Any]]:
    files = sorted((config.run_folder / "embedding").glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("clean")
    config = configuration(folder, "clean.zarr")
    for rank in run_ranks(ENTRY_POINT, 1, config_to_dict(config), folder):
        assert rank.returncode == 0, rank.log
    return tree(config.store_path)


@contextlib.contextmanager
def started(
    config: SnwConfig, way: str, world_size: int, folder: Path
) -> Iterator[list[Ranks | subprocess.Popen[bytes]]]:
    """An embedding job: gloo ranks, one MPI job, or three array tasks at the same time."""
    with contextlib.ExitStack() as stack:
        if way == "mpi":
            yield [stack.enter_context(mpi_job(config, world_size, folder))]
            return
        tasks = 3 if way == "array" else 1
        yield [
            stack.enter_context(
                start_ranks(
                    ENTRY_POINT,
                    world_size,
                    config_to_dict(config),
                    folder / f"task{task}",
                    array_task=task,
                    num_array_tasks=tasks,
                )
            )
            for task in range(tasks)
        ]


@contextlib.contextmanager
def mpi_job(config: SnwConfig, world_size: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Ranks of one real MPI job, started by MPICH's own launcher."""
    folder.mkdir(parents=True)
    request = {"entry_point": ENTRY_POINT, "config": config_to_dict(config), "job_folder": str(folder), "device": "cpu"}
    (folder / "request.json").write_text(json.dumps(request))
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "PMI_", "SUBMITIT_", "PYTEST_"))}
    mpiexec = Path(sys.executable).with_name("mpiexec")
    with (folder / "mpi.log").open("wb") as log:
        process = subprocess.Popen(
            [mpiexec, "-n", str(world_size), sys.executable, "-m", "hpc.job.run", str(folder / "request.json")],
            cwd=REPOSITORY,
            env=kept | {"OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        kill(process)


def kill(job: Ranks | subprocess.Popen[bytes]) -> None:
    """SIGKILL to all ranks at once."""
    if isinstance(job, Ranks):
        job.kill()
        return
    for rank in children(job.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(rank, signal.SIGKILL)
    job.kill()
    job.wait(20)


def children(pid: int) -> list[int]:
    """All processes below one; hydra gives each rank a session of its own."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(entry.read_text().rpartition(")")[2].split()[1]) == pid:
                found += [int(entry.parent.name), *children(int(entry.parent.name))]
    return found


def finish(jobs: list[Ranks | subprocess.Popen[bytes]], folder: Path) -> None:
    for job in jobs:
        if isinstance(job, Ranks):
            for rank in job.finish(120):
                assert rank.returncode == 0, rank.log
        else:
            assert job.wait(150) == 0, (folder / "mpi.log").read_text()


@pytest.mark.parametrize("seed", range(REPEATS))
def test_killed_at_a_random_moment(tmp_path: Path, clean: dict[str, str], seed: int) -> None:
    """1 to 4 ranks, by the rendezvous store, by MPI or as an array; then others go on, in another way."""
    chance = random.Random(seed)
    config = configuration(tmp_path, f"killed{seed}.zarr")
    (first_way, first), (second_way, second) = ((chance.choice(WAYS), chance.randint(1, 4)) for _ in range(2))
    with started(config, first_way, first, tmp_path / "first") as jobs:
        after = chance.choice([0, 1, 3, 8])
        wait_for(
            lambda: (
                len(list((config.store_path / ".parts").glob("*.safetensors"))) >= after and config.store_path.exists()
            )
        )
        time.sleep(chance.uniform(0, 0.5))
        for job in jobs:
            kill(job)
    with started(config, second_way, second, tmp_path / "second") as jobs:
        finish(jobs, tmp_path / "second")
    assert tree(config.store_path) == clean
    assert not list(tmp_path.glob(".*")), "something is left beside the store"
    done = [record["shard"] for record in records(config)]
    ranks = first * (3 if first_way == "array" else 1)
    assert len(done) - len(set(done)) <= ranks, "more than one shard a rank was computed twice"


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_stop_request_keeps_what_is_committed(tmp_path: Path, clean: dict[str, str]) -> None:
    config = configuration(tmp_path, "stopped.zarr")
    with start_ranks(ENTRY_POINT, 2, config_to_dict(config), tmp_path / "first") as ranks:
        ranks.wait_for(lambda: len(list((config.store_path / ".parts").glob("*.safetensors"))) >= 3)
        ranks.send(signal.SIGTERM, 1)  # one rank only
        codes = [rank.returncode for rank in ranks.finish()]
    assert codes == [75, 75]
    for rank in run_ranks(ENTRY_POINT, 2, config_to_dict(config), tmp_path / "second"):
        assert rank.returncode == 0, rank.log
    assert tree(config.store_path) == clean
    done = [record["shard"] for record in records(config)]
    assert len(done) == len(set(done)), "a shard was computed twice"


def codes_of(jobs: list[Ranks]) -> list[int]:
    """How jobs of one rank have ended; none with a traceback."""
    ends = [rank for job in jobs for rank in job.finish(150)]
    assert not [rank.log for rank in ends if "Traceback" in rank.log or rank.returncode not in (0, 4)]
    assert all("in use by job " in rank.log for rank in ends if rank.returncode == 4)
    return [rank.returncode for rank in ends]


@pytest.mark.parametrize("seed", range(max(1, REPEATS // 4)))
def test_several_embeddings_at_the_same_instant(tmp_path: Path, clean: dict[str, str], seed: int) -> None:
    """One job fills the store; the others are refused and name it, or come when it is complete."""
    config = configuration(tmp_path, "shared.zarr")
    with contextlib.ExitStack() as stack:
        started_at = [
            start_ranks(ENTRY_POINT, 1, config_to_dict(config), tmp_path / f"{job}", env={"SLURM_JOB_ID": f"{job}"})
            for job in range(70 + 10 * seed, 74 + 10 * seed)
        ]
        codes = codes_of([stack.enter_context(job) for job in started_at])
    assert 0 in codes
    assert tree(config.store_path) == clean


@pytest.mark.parametrize("seed", range(max(1, REPEATS // 4)))
def test_a_second_embedding_while_the_first_is_killed(tmp_path: Path, clean: dict[str, str], seed: int) -> None:
    """The first dies while it makes the store, fills or finishes it; a job and an array begin at about that moment."""
    chance = random.Random(seed)
    config = configuration(tmp_path, "shared.zarr")
    values, store = config_to_dict(config), config.store_path
    moments = [
        lambda: (store / ".parts").exists(),
        lambda: (store / "zarr.json").exists(),
        lambda: (store / "id_sequence").exists(),
        lambda: len(list((store / ".parts").glob("*.safetensors"))) >= 30,
        lambda: (store / "commits").exists(),
    ]
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(start_ranks(ENTRY_POINT, 1, values, tmp_path / "first", env={"SLURM_JOB_ID": "71"}))
        first.wait_for(chance.choice(moments))
        jobs = [
            stack.enter_context(
                start_ranks(ENTRY_POINT, 1, values, tmp_path / name, env={"SLURM_JOB_ID": name}, **array)
            )
            for name, array in (
                ("72", {}),
                ("73", {"array_task": 0, "num_array_tasks": 2}),
                ("74", {"array_task": 1, "num_array_tasks": 2}),
            )
        ]
        time.sleep(chance.uniform(0, 1))
        first.kill()
        codes_of(jobs)
    with start_ranks(ENTRY_POINT, 1, values, tmp_path / "last", env={"SLURM_JOB_ID": "75"}) as last:
        assert [rank.returncode for rank in last.finish(150)] == [0], last.logs()
    assert tree(config.store_path) == clean
