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
from hpc.ranks.attempts import Attempt, refuse_hopeless
from hpc.ranks.outcome import Outcome, outcome_file, write_outcome
from hpc.ranks.peers import PeerGoneError
from hpc.ranks.preemption import PreemptionGuard
from hpc.ranks.preflight import Check, check_ranks, refuse_problems
from hpc.ranks.process_group import choose_device, process_group
from hpc.ranks.requeue import ended_by_limit, job_begun, requeue_and_wait
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


def _run(folder: Path, read: Callable[[], RankRequest]) -> NoReturn:
    started = time.monotonic()
    never_fail_to_print()
    rank, requeued, echo, identity = 0, False, False, JobIdentity()
    close_to_others()
    try:
        identity = JobIdentity.detect()
        topology = Topology.detect()
        rank = topology.rank
        request = read()
        folder = Path(request.job_folder)
        check_folder(folder)
        outcome_file(folder, rank).unlink(missing_ok=True)
        setup_logging(topology.rank, topology.world_size, folder, verbose=("hpc", request.entry_point.split(".")[0]))
        start_watchdog(log_file(folder, rank), outcome_file(folder, rank), identity.restart_count, local_controller())
        # Without this every rank of a node starts as many threads as the node has processors.
        torch.set_num_threads(topology.num_cpus)
        attempt = f"{identity.job_id or folder.name}-{identity.restart_count}"
        log.info("rank %d of %d on %s, attempt %s", topology.rank, topology.world_size, topology.host, attempt)
        entry_point = load_entry_point(request.entry_point)
        device = choose_device(request.device, topology.local_rank)
        limit_s, left_s = None if request.time_min is None else request.time_min * 60.0, None
        if limit_s is not None:
            started = job_begun(identity, started) if rank == 0 else started  # rank 0's clock is enough to stop all
            left_s = limit_s - stop_margin_s(limit_s) - (time.monotonic() - started)
        with (
            process_group(topology, device, folder, attempt, request.startup_deadline_s) as comm,
            PreemptionGuard(comm, left_s) as guard,
        ):
            progress = ProgressFile(folder / "progress", topology.rank)
            if topology.rank == 0:
                keep_told(folder / "progress")
            try:
                mpi = topology.launcher == "mpi" or request.mpi
                array = request.array_task, request.num_array_tasks
                package = request.entry_point.split(".")[0]
                checks = check_ranks(comm, topology, device, folder, request.config, package)
                _refuse_or_warn(checks, topology.rank)
                runtime = Runtime(
                    topology, comm, guard, progress, attempt, folder, device, mpi, *array, limit_s, tuple(checks)
                )
                entry_point(request.config, runtime)
            except Preempted as stop:
                if limit_s is not None and ended_by_limit(identity, comm, guard, started, limit_s):
                    now, first = time.monotonic(), progress.first_report
                    attempt_ended = Attempt(stop.done, now - started, None if first is None else first - started)
                    comm.on_rank_0(functools.partial(refuse_hopeless, folder, attempt_ended, limit_s))
                requeued = requeue_and_wait(identity, comm, guard)
                raise
        leave_mpi()
        code, message = int(ExitCode.DONE), "done"
    except SnwError as error:
        code, message = int(error.exit_code), str(error)
    except PeerGoneError as error:
        code, message, echo = 1, str(error), True
    except BaseException as error:  # noqa: BLE001 - the outcome of a rank is recorded whatever ended it
        problem: SnwError | None = storage_problem(error, folder) if isinstance(error, OSError) else None
        if is_thread_limit(str(error)):
            problem = EnvironmentProblem(f"rank {rank}: {thread_limit_text()} See {log_file(folder, rank)}.")
        if problem is None:
            traceback.print_exc()
            code, message = 1, f"rank {rank}: {type(error).__name__}: {error}"
        else:
            code, message = int(problem.exit_code), str(problem)
    if code not in (ExitCode.DONE, ExitCode.PREEMPTED):
        log.error("%s", message)
    if not requeued:  # a requeued job has not ended: its next incarnation writes the outcome
        try:
            write_outcome(folder, rank, Outcome(code, message, identity.restart_count, echo))
        except OSError as error:  # a full disk is why jobs end: the exit code still has to say so
            log.error("the outcome could not be written: %s", error)
    stop_watchdog()
    logging.shutdown()
    sys.exit(code)


def load_entry_point(name: str) -> EntryPoint:
    """Import `package.module:function`; raises `EnvironmentProblem` when there is no such function."""
    module, _, function = name.partition(":")
    try:
        entry_point: EntryPoint = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise EnvironmentProblem(f"entry point {name!r} cannot be loaded on this node: {error}") from None
    return entry_point


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
