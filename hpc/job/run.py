"""What runs on a node: topology, logs, process group, preemption guard, entry point, exit code.

A submitted job finds its request in its private folder (`hpc.job.on_node`). The same file serves a hand-written sbatch
script: `srun python -m hpc.job.run REQUEST.json`.
"""

from __future__ import annotations

import functools
import importlib
import logging
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import torch

from hpc.disk.storage import storage_problem
from hpc.disk.strict import validated
from hpc.disk.trusted import check_folder, close_to_others
from hpc.errors import EnvironmentProblem, ExitCode, Preempted, SnwError
from hpc.job.request import RankRequest, read_request
from hpc.job.runtime import Runtime
from hpc.logs import log_file, setup_logging
from hpc.progress import ProgressFile
from hpc.ranks.attempts import Attempt, note_attempt
from hpc.ranks.outcome import Outcome, outcome_file, write_outcome
from hpc.ranks.peers import PeerGoneError
from hpc.ranks.preemption import PreemptionGuard
from hpc.ranks.preflight import Check, check_ranks, refuse_problems
from hpc.ranks.process_group import choose_device, process_group
from hpc.ranks.requeue import ended_by, job_begun, requeue_and_wait
from hpc.ranks.topology import JobIdentity, Topology, local_controller
from hpc.ranks.watchdog import start_watchdog, stop_watchdog
from hpc.ranks.work_queue import leave_mpi
from hpc.shown import never_fail_to_print
from hpc.thread_limit import is_thread_limit, thread_limit_text
from hpc.told import keep_told

EntryPoint = Callable[[dict[str, Any], Runtime], None]
log = logging.getLogger(__name__)


def run_job(payload: Mapping[str, Any]) -> NoReturn:
    """Run what `payload`, the plain data of a `RankRequest`, asks for; see `run_request`."""
    _run(Path(payload["job_folder"]), lambda: validated(RankRequest, payload, "request"))


def run_request(file: Path) -> NoReturn:
    """Run the `RankRequest` in a file as one rank; ends the process with the job's exit code.

    What became of the rank is left as its outcome (`hpc.ranks.outcome`) in the job's folder. Nothing is run, and
    nothing else written, where another user could have changed the request or the folder of the job.
    """
    _run(file.parent, lambda: read_request(file))


@dataclass
class _Rank:
    """What this rank knows of itself so far: wherever it ends, its outcome says that much."""

    folder: Path
    """Private folder of the job."""
    begun: float
    """By the monotonic clock."""
    number: int = 0
    identity: JobIdentity = field(default_factory=JobIdentity)
    requeued: bool = False


def _run(folder: Path, read: Callable[[], RankRequest]) -> NoReturn:
    own = _Rank(folder, time.monotonic())
    never_fail_to_print()
    close_to_others()
    try:
        topology, request = _set_up(own, read)
        _work(own, topology, request)
        leave_mpi()
        outcome = Outcome(int(ExitCode.DONE), "done", own.identity.restart_count)
    except BaseException as error:  # noqa: BLE001 - the outcome of a rank is recorded whatever ended it
        outcome = _outcome_of(error, own)
    if outcome.exit_code not in (ExitCode.DONE, ExitCode.PREEMPTED):
        log.error("%s", outcome.message)
    if not own.requeued:  # a requeued job has not ended: its next incarnation writes the outcome
        try:
            write_outcome(own.folder, own.number, outcome)
        except OSError as error:  # a full disk is why jobs end: the exit code still has to say so
            log.error("the outcome could not be written: %s", error)
    stop_watchdog()
    logging.shutdown()
    sys.exit(outcome.exit_code)


def _set_up(own: _Rank, read: Callable[[], RankRequest]) -> tuple[Topology, RankRequest]:
    """Which rank this is and what it is to do; logs, watchdog and threads of this process."""
    own.identity = JobIdentity.detect()
    topology = Topology.detect()
    own.number = rank = topology.rank
    request = read()
    own.folder = folder = Path(request.job_folder)
    check_folder(folder)
    outcome_file(folder, rank).unlink(missing_ok=True)
    setup_logging(rank, topology.world_size, folder, verbose=("hpc", _package(request)))
    start_watchdog(log_file(folder, rank), outcome_file(folder, rank), own.identity.restart_count, local_controller())
    # Without this every rank of a node starts as many threads as the node has processors.
    torch.set_num_threads(topology.num_cpus)
    return topology, request


def _work(own: _Rank, topology: Topology, request: RankRequest) -> None:
    """Meet the other ranks and call the entry point; a job that was stopped is requeued."""
    folder, attempt = own.folder, f"{own.identity.job_id or own.folder.name}-{own.identity.restart_count}"
    log.info("rank %d of %d on %s, attempt %s", topology.rank, topology.world_size, topology.host, attempt)
    entry_point = load_entry_point(request.entry_point)
    device = choose_device(request.device, topology.local_rank)
    limit_s = None if request.time_min is None else request.time_min * 60.0
    left_s = _left_s(own, limit_s)
    with (
        process_group(topology, device, folder, attempt, request.startup_deadline_s) as comm,
        PreemptionGuard(comm, left_s) as guard,
    ):
        progress = ProgressFile(folder / "progress", topology.rank)
        if topology.rank == 0:
            keep_told(folder / "progress")
        try:
            checks = check_ranks(comm, topology, device, folder, request.config, _package(request))
            _refuse_or_warn(checks, topology.rank)
            mpi = topology.launcher == "mpi" or request.mpi
            array = request.array_task, request.num_array_tasks
            runtime = Runtime(
                topology, comm, guard, progress, attempt, folder, device, mpi, *array, limit_s, tuple(checks)
            )
            entry_point(request.config, runtime)
        except Preempted as stop:
            why = ended_by(own.identity, comm, guard, own.begun, limit_s)
            now, first = time.monotonic(), progress.first_report
            start_s = None if first is None else first - own.begun
            ended = Attempt(stop.done, now - own.begun, start_s, why, own.identity.restart_count, time.time())
            comm.on_rank_0(functools.partial(note_attempt, folder, ended, limit_s))
            own.requeued = requeue_and_wait(own.identity, comm, guard)
            raise


def _left_s(own: _Rank, limit_s: float | None) -> float | None:
    """How long the job may work until it stops by itself; from here on it has begun when Slurm says so."""
    if limit_s is None:
        return None
    if own.number == 0:  # whose clock is enough to stop all
        own.begun = job_begun(own.identity, own.begun)
    return limit_s - stop_margin_s(limit_s) - (time.monotonic() - own.begun)


def _outcome_of(error: BaseException, own: _Rank) -> Outcome:
    """What to say of the error that is being handled; a defect of ours leaves its traceback too."""
    restarts = own.identity.restart_count
    if isinstance(error, PeerGoneError):
        return Outcome(1, str(error), restarts, echo=True)
    problem = error if isinstance(error, SnwError) else _storage_or_threads(error, own)
    if problem is None:
        traceback.print_exc()
        return Outcome(1, f"rank {own.number}: {type(error).__name__}: {error}", restarts)
    return Outcome(int(problem.exit_code), str(problem), restarts)


def _storage_or_threads(error: BaseException, own: _Rank) -> SnwError | None:
    """An error of the system as one for the user; None for what is most likely a defect of ours."""
    if is_thread_limit(str(error)):
        return EnvironmentProblem(f"rank {own.number}: {thread_limit_text()} See {log_file(own.folder, own.number)}.")
    return storage_problem(error, own.folder) if isinstance(error, OSError) else None


def load_entry_point(name: str) -> EntryPoint:
    """Import `package.module:function`; raises `EnvironmentProblem` when there is no such function."""
    module, _, function = name.partition(":")
    try:
        entry_point: EntryPoint = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise EnvironmentProblem(f"entry point {name!r} cannot be loaded on this node: {error}") from None
    return entry_point


def _package(request: RankRequest) -> str:
    return request.entry_point.split(".")[0]


def _refuse_or_warn(checks: list[Check], rank: int) -> None:
    for check in checks:
        if check.status == "warning" and rank == 0:
            log.warning("%s: %s", check.name, check.text)
    refuse_problems(checks)


def stop_margin_s(limit_s: float) -> float:
    """How long before its time limit a job stops by itself: two minutes, or a fifth of a short limit."""
    return min(120.0, limit_s / 5)


if __name__ == "__main__":
    run_request(Path(sys.argv[1]))
