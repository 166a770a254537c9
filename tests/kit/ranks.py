"""Starts the ranks of a job as real processes, as submitit's local executor does, and never leaves one behind.

Importing torch takes a second and a half of a processor, and the tests start more than a hundred ranks. One process,
which runs this module, has therefore imported it already; each rank is a fork of it that then runs `hpc.job.run`.
"""

import atexit
import contextlib
import functools
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
# What another launcher, or this process group, may have left in the environment of the tests.
_FOREIGN = ("SLURM_", "SUBMITIT_", "OMPI_", "PMI_", "TORCHELASTIC_", "RANK", "WORLD_SIZE", "LOCAL_", "MASTER_")


@dataclass(frozen=True)
class Finished:
    """How one rank ended."""

    rank: int
    returncode: int
    log: str
    """stdout and stderr."""
    outcome: dict[str, Any]
    """What the rank left in its `outcome-rank<r>.json`; empty when it could not."""


@dataclass(frozen=True)
class Process:
    """A rank; like `subprocess.Popen`, though it is the starter's child and not ours."""

    pid: int
    exit_file: Path

    def poll(self) -> int | None:
        return int(self.exit_file.read_text()) if self.exit_file.exists() else None

    def wait(self, timeout_s: float) -> int:
        end = time.monotonic() + timeout_s
        while (code := self.poll()) is None:
            if time.monotonic() > end:
                raise TimeoutError
            time.sleep(0.01)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


@functools.cache
def _exit_files() -> Path:
    folder = tempfile.mkdtemp(prefix="snw-test-ranks-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


@functools.cache
def _starter(environ: tuple[tuple[str, str], ...]) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-m", "tests.kit.ranks"]
    process = subprocess.Popen(
        command, cwd=REPOSITORY, env=dict(environ), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    atexit.register(_end_starter, process)
    return process


def _end_starter(process: subprocess.Popen[str]) -> None:
    with process:
        assert process.stdin is not None
        process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        process.kill()


def _serve() -> None:
    """Fork a rank for every line of stdin: request, log and variables; its exit code goes into a file.

    Stdin ends with the process that runs the tests, however that ends; the ranks must not live on.
    """
    import tests.kit.jobs  # imported here once for all ranks
    import tests.kit.trainings  # noqa: F401
    from hpc.job.run import run_job

    ranks: set[int] = set()
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            os.dup2(os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), 1)
            os.dup2(1, 2)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.environ.update(order["environ"])
            run_job(json.loads(Path(order["request"]).read_text()))
        ranks.add(pid)
        threading.Thread(target=_reap, args=(pid, Path(order["exit_file"]), ranks), daemon=True).start()
        print(pid, flush=True)  # noqa: T201 - the answer
    for pid in list(ranks):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _reap(pid: int, exit_file: Path, ranks: set[int]) -> None:
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    ranks.discard(pid)
    partial = exit_file.with_suffix(".tmp")
    partial.write_text(str(code))
    partial.replace(exit_file)


@dataclass
class Ranks:
    """Live ranks of one job; `job_folder` is what they share."""

    request: Path
    job_folder: Path
    world_size: int
    environ: Mapping[str, str]
    processes: dict[int, Process] = field(default_factory=dict)

    def start(self, rank: int) -> None:
        starter = _starter(_environment())
        assert starter.stdin is not None
        assert starter.stdout is not None
        exit_file = _exit_files() / uuid.uuid4().hex
        self._log(rank).touch()
        place = {"SUBMITIT_LOCAL_GLOBALID": str(rank), "SUBMITIT_LOCAL_LOCALID": str(rank)}
        order = {"request": str(self.request), "log": str(self._log(rank)), "exit_file": str(exit_file)}
        starter.stdin.write(json.dumps({**order, "environ": {**self.environ, **place}}) + "\n")
        starter.stdin.flush()
        self.processes[rank] = Process(int(starter.stdout.readline()), exit_file)

    def send(self, number: signal.Signals, *only: int) -> None:
        """A signal to the given ranks, or to all."""
        for rank in only or self.processes:
            self.processes[rank].send_signal(number)

    def wait_for(self, condition: Callable[[], object], timeout_s: float = 60.0) -> None:
        """Wait until `condition()`; fails with the logs at the time limit, or when a rank has ended before."""
        end = time.monotonic() + timeout_s
        while not condition():
            ended = [rank for rank, process in self.processes.items() if process.poll() is not None]
            if time.monotonic() > end or (ended and not condition()):
                self.kill()
                raise AssertionError(f"waited in vain (ended: {ended})\n{self.logs()}")
            time.sleep(0.01)

    def wait_for_files(self, *names: str, timeout_s: float = 60.0) -> None:
        self.wait_for(lambda: all((self.job_folder / name).exists() for name in names), timeout_s)

    def finish(self, timeout_s: float = 60.0) -> list[Finished]:
        """Wait for all started ranks; kills them and fails with their logs at the time limit."""
        end = time.monotonic() + timeout_s
        for process in self.processes.values():
            try:
                process.wait(max(0.0, end - time.monotonic()))
            except TimeoutError:
                self.kill()
                raise AssertionError(f"the ranks did not end within {timeout_s} s\n{self.logs()}") from None
        return [self._finished(rank) for rank in sorted(self.processes)]

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        for process in self.processes.values():
            process.wait(20)

    def logs(self) -> str:
        return "\n".join(f"--- rank {rank}\n{self._log(rank).read_text()}" for rank in sorted(self.processes))

    def _log(self, rank: int) -> Path:
        return self.request.with_name(f"rank{rank}.log")

    def _finished(self, rank: int) -> Finished:
        file = self.job_folder / f"outcome-rank{rank}.json"
        outcome = json.loads(file.read_text()) if file.exists() else {}
        return Finished(rank, self.processes[rank].wait(0), self._log(rank).read_text(), outcome)


def _environment() -> tuple[tuple[str, str], ...]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith((*_FOREIGN, "PYTEST_"))}
    return tuple(sorted((kept | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}).items()))


@contextlib.contextmanager
def start_ranks(
    entry_point: str,
    world_size: int,
    config: Mapping[str, Any],
    folder: Path,
    *,
    present: Iterable[int] | None = None,
    env: Mapping[str, str] | None = None,
    **payload: Any,
) -> Iterator[Ranks]:
    """Start the ranks in `present` (default: all) of a job; at the end none of them is left.

    `entry_point` without a module is one of `tests.kit.jobs`. `payload` is added to the request.
    """
    job_folder = folder / "job"
    job_folder.mkdir(parents=True, exist_ok=True)
    request = folder / "request.json"
    content: dict[str, Any] = {"entry_point": entry_point, "config": dict(config), "job_folder": str(job_folder)}
    if ":" not in entry_point:
        content["entry_point"] = f"tests.kit.jobs:{entry_point}"
    request.write_text(json.dumps({**content, "time_min": None, "device": "cpu", **payload}))
    environ = {"SUBMITIT_EXECUTOR": "local", "SUBMITIT_LOCAL_NTASKS": str(world_size)}
    environ |= {"SUBMITIT_LOCAL_NODEID": "0", **(env or {})}
    ranks = Ranks(request, job_folder, world_size, environ)
    try:
        for rank in range(world_size) if present is None else present:
            ranks.start(rank)
        yield ranks
    finally:
        ranks.kill()


def run_ranks(
    entry_point: str,
    world_size: int,
    config: Mapping[str, Any],
    folder: Path,
    timeout_s: float = 120.0,
    env: Mapping[str, str] | None = None,
    **payload: Any,
) -> list[Finished]:
    """Run a job to its end."""
    with start_ranks(entry_point, world_size, config, folder, env=env, **payload) as ranks:
        return ranks.finish(timeout_s)


def names(folder: Path) -> list[str]:
    """What is in a folder, hidden names included."""
    return sorted(path.name for path in folder.iterdir())


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A folder where not more than 1 MB can be written: a file system of that size, or a limit where we may not mount.

    Where it is a limit, it holds for this process only.
    """
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "snw-test", str(folder)]
    if os.getuid() == 0 and subprocess.run(mount, capture_output=True, timeout=20).returncode == 0:
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=20)
        return
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        yield folder
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


if __name__ == "__main__":
    _serve()
