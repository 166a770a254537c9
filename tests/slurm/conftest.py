"""A real Slurm of four nodes on this machine, and the commands of this project run against it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hpc.disk.files import file_digest
from tests.kit.bundle_tools import bundled, measured_run, with_model
from tests.kit.screen_tools import write_library

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data" / "mhc_binding"
DEVCLUSTER = ROOT / "slurm" / "devcluster"


@dataclass
class Cluster:
    """A running one-machine Slurm."""

    folder: Path
    environment: dict[str, str]

    def command(self, *arguments: str, timeout_s: float = 60, check: bool = True) -> str:
        """Run a Slurm program; its output."""
        done = subprocess.run(arguments, env=self.environment, capture_output=True, text=True, timeout=timeout_s)
        assert not check or done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def set_parameter(self, name: str, value: str | None) -> None:
        """Write a line of slurm.conf anew, or take it out, and make it known."""
        file = self.folder / "slurm.conf"
        lines = [line for line in file.read_text().splitlines() if not line.startswith(f"{name}=")]
        file.write_text("\n".join([*lines, *([] if value is None else [f"{name}={value}"])]) + "\n")
        self.command("scontrol", "reconfigure")

    def wait_for_restart(self, job_id: str, number: int) -> None:
        """Wait until a job has been requeued that often."""
        shown = ("scontrol", "show", "job", "--oneliner", job_id)
        wait_until(lambda: f" Restarts={number} " in self.command(*shown), f"restart {number} of {job_id}", 120)

    def jobs(self, name: str, fields: str) -> list[list[str]]:
        """Rows of `sacct` for the jobs of that name, every incarnation."""
        text = self.command("sacct", "-X", "-D", "-n", "-P", f"--name={name}", f"--format={fields}")
        return [line.split("|") for line in text.splitlines()]

    def wait_for_states(self, name: str, states: list[str], timeout_s: float = 90) -> None:
        """Wait until accounting has these states, and no others, for the jobs of that name; a failure shows its rows.

        Accounting learns of an end some time after the ranks have told theirs, so a launcher may be done before.
        """
        end = time.monotonic() + timeout_s
        while sorted(row[0] for row in self.jobs(name, "State")) != sorted(states):
            if time.monotonic() > end:
                rows = self.jobs(name, "JobID,State,ExitCode,Submit,Start,End,NodeList")
                queue = self.command("squeue", "-h", "-t", "all", f"--name={name}", "-o", "%i %T %r", check=False)
                told = "\n".join(" ".join(row) for row in rows)
                raise AssertionError(f"{name} not {states} within {timeout_s} s; sacct:\n{told}\nsqueue:\n{queue}")
            time.sleep(0.2)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster of this test worker; the test command has installed Slurm, so its absence is a failure."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    folder = Path(f"/var/tmp/snw-devcluster-test-shared-{os.getpid()}")
    port = 31000 + 200 * int(worker.removeprefix("gw") or 0)
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "SBATCH_"))},
        "SNW_DEVCLUSTER_DIR": str(folder),
        "SNW_DEVCLUSTER_PORT": str(port),
        "SNW_DEVCLUSTER_GRACE": "20",
        "SNW_DEVCLUSTER_REQUEUE": "5",
        "SLURM_CONF": str(folder / "slurm.conf"),
        "OMP_NUM_THREADS": "1",
    }
    up = subprocess.run([DEVCLUSTER, "up", "4"], env=environment, capture_output=True, text=True, timeout=180)
    assert up.returncode == 0, up.stdout + up.stderr
    try:
        yield Cluster(folder, environment)
    finally:
        subprocess.run([DEVCLUSTER, "down"], env=environment, check=True, timeout=120)


@dataclass
class Workplace:
    """A folder with a configuration, and the launchers."""

    folder: Path
    environment: dict[str, str]
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, launcher: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a launcher in the folder of the configuration."""
        command = [sys.executable, str(ROOT / "launch" / f"{launcher}.py"), *arguments]
        with (self.folder / f"{launcher}-{len(self.started)}.log").open("w") as log:
            process = subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=log, stderr=subprocess.STDOUT, text=True
            )
        self.started.append(process)
        return process

    def run(self, launcher: str, *arguments: str, code: int = 0, timeout_s: float = 150) -> str:
        """Run a launcher to its end; its output."""
        process = self.start(launcher, *arguments)
        number = len(self.started) - 1
        process.wait(timeout=timeout_s)
        text = (self.folder / f"{launcher}-{number}.log").read_text()
        assert process.returncode == code, f"{launcher} {arguments} ended with {process.returncode}:\n{text}"
        return text

    def sbatch(self, script: str, sbatch_options: Sequence[str], *arguments: str) -> str:
        """Submit a batch script of `slurm/` as a user does; the number of the job."""
        place = [f"--export=ALL,SNW_DIST={ROOT}", "--cpus-per-task=1", "--time=20", *sbatch_options]
        done = subprocess.run(
            ["sbatch", "--parsable", *place, str(ROOT / "slurm" / f"{script}.sbatch"), *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def run_folder(self, name: str) -> Path:
        """Folder of a run."""
        return self.folder / "runs" / name

    def losses(self, name: str) -> list[tuple[Any, ...]]:
        """What must be bit-identical in `metrics.jsonl`: all but the timing and when a checkpoint was written."""
        lines = (self.run_folder(name) / "metrics.jsonl").read_text().splitlines()
        records = [record for record in map(json.loads, lines) if record["kind"] != "save"]
        keys = ("kind", "step", "loss", "learning_rate", "gradient_norm", "auroc")
        return [tuple(record.get(key) for key in keys) for record in records]


@pytest.fixture(scope="session")
def workplace(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """Configuration of a small network on the shipped data, with its store already embedded."""
    folder = tmp_path_factory.mktemp("work")
    config = {
        "run": {"name": "base", "folder": "runs"},
        "data": {
            "ligands": str(DATA / "ligands.fasta"),
            "receptors": str(DATA / "receptors.fasta"),
            "pairs": str(DATA / "pairs.csv"),
            "columns": {"binary": "binds"},
        },
        "store": {"shard_rows": 4096, "path": "store.zarr"},
        "model": {
            "d_model": 32,
            "num_conv_layers": 1,
            "num_transformer_layers": 1,
            "num_pooling_queries": 8,
            "embedding_size": 32,
        },
        "train": {"max_steps": 150, "save_every": 25, "validate_every": 60, "learning_rate": 0.002},
        "cluster": {"cluster": "slurm", "profile": "devcluster", "nodes": 2, "time_min": 20},
    }
    (folder / "SNW_config.json").write_text(json.dumps(config))
    place = Workplace(folder, cluster.environment)
    place.run("embed", "--nodes", "1")
    yield place
    for process in place.started:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def undisturbed(workplace: Workplace) -> Path:
    """The run that those which are stopped must equal."""
    workplace.run("train", "--run", "undisturbed")
    return workplace.run_folder("undisturbed")


@pytest.fixture(scope="session")
def screened(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """A folder with a bundle, two libraries, and a screen of them by one process."""
    folder = tmp_path_factory.mktemp("screened")
    bundled(measured_run(folder, **with_model("siamese")), folder / "bundle")
    write_library(folder / "l.fasta", dict.fromkeys(range(8, 40), 100), 1)
    write_library(folder / "r.fasta", {60: 20}, 2)
    place = Workplace(folder, cluster.environment)
    place.run("screen", *screen_options("alone"), "--cluster", "local")
    yield place
    for process in place.started:
        process.kill()
        process.wait()


def screen_options(to: str) -> list[str]:
    """Of a screen in the folder `screened`."""
    units = ["--block-residues", "1500", "--unit-pairs", "5000", "--device", "cpu"]
    files = ["--bundle", "bundle", "--ligands", "l.fasta", "--receptors", "r.fasta", "--to", to, "--top", "100"]
    return [*files, *units, "--profile", "devcluster"]


def made(folder: Path, pattern: str) -> int:
    """How many files of this name are in a folder and below."""
    return len([*folder.rglob(pattern)])


def tree(folder: Path) -> dict[str, str]:
    """Digest of every file below a folder."""
    return {str(p.relative_to(folder)): file_digest(p) for p in sorted(folder.rglob("*")) if p.is_file()}


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 90) -> None:
    """Poll until `condition` holds; fails naming `what`."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"not within {timeout_s} s: {what}"
        time.sleep(0.1)


def exported(run_folder: Path) -> str:
    return file_digest(run_folder / "export" / "model.safetensors")


def steps_done(run_folder: Path) -> int:
    file = run_folder / "metrics.jsonl"
    return file.read_text().count('"train"') if file.exists() else 0


def rank_pid(job_id: str, rank: int) -> int:
    """Process of a rank on this machine: the Python whose environment names the job and the rank."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            variables = (folder / "environ").read_bytes().split(b"\0")
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        wanted = {f"SLURM_JOB_ID={job_id}".encode(), f"SLURM_PROCID={rank}".encode()}
        if wanted <= set(variables) and b"hpc.job.on_node" in command and b"python" in command.split(b"\0")[0]:
            return int(folder.name)
    raise AssertionError(f"no process of rank {rank} of job {job_id}")
