"""What runs on a node: topology, logs, process group, preemption guard, entry point, exit code.

The submitted pickle holds the name `hpc.job.run_job` and one dictionary of plain data. The same function serves a
hand-written sbatch script: `srun python -m hpc.job REQUEST.json`.
"""

from __future__ import annotations

import importlib
import json
import logging
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from hpc.errors import EnvironmentProblem, ExitCode, Preempted, SnwError
from hpc.logs import log_file, setup_logging
from hpc.outcome import Outcome, outcome_file, write_outcome
from hpc.peers import PeerGoneError
from hpc.preemption import PreemptionGuard, requeue_and_wait
from hpc.preflight import Check, check_ranks, refuse_problems
from hpc.process_group import STARTUP_DEADLINE_S, choose_device, end_process, process_group
from hpc.progress import ProgressFile
from hpc.runtime import Runtime
from hpc.shown import never_fail_to_print
from hpc.storage import storage_problem
from hpc.topology import JobIdentity, Topology, local_controller
from hpc.watchdog import start_watchdog, stop_watchdog
from hpc.work_queue import leave_mpi

EntryPoint = Callable[[dict[str, Any], Runtime], None]
log = logging.getLogger(__name__)


def run_job(payload: dict[str, Any]) -> None:
    """Run `payload["entry_point"]` ("module:function") as one rank; ends the process with the job's exit code.

    Further keys: `config` (plain data for the entry point), `job_folder` (shared by the ranks), `time_min` (limit of
    the job, or None), `device` (auto, cpu or cuda), `startup_deadline_s` (all ranks have joined by then), `mpi` (srun
    starts the ranks as one MPI job), `array_task` and `num_array_tasks`.
    What became of the rank is left as its outcome (`hpc.outcome`).
    """
    started = time.monotonic()
    never_fail_to_print()
    folder = Path(payload["job_folder"])
    rank, requeued, echo, identity = 0, False, False, JobIdentity()
    try:
        identity = JobIdentity.detect()
        topology = Topology.detect()
        rank = topology.rank
        outcome_file(folder, rank).unlink(missing_ok=True)
        setup_logging(topology.rank, topology.world_size, folder, verbose=("hpc", payload["entry_point"].split(".")[0]))
        start_watchdog(log_file(folder, rank), outcome_file(folder, rank), identity.restart_count, local_controller())
        # Without this every rank of a node starts as many threads as the node has processors.
        torch.set_num_threads(topology.num_cpus)
        attempt = f"{identity.job_id or folder.name}-{identity.restart_count}"
        log.info("rank %d of %d on %s, attempt %s", topology.rank, topology.world_size, topology.host, attempt)
        entry_point = load_entry_point(payload["entry_point"])
        device = choose_device(payload.get("device", "auto"), topology.local_rank)
        deadline_s = payload.get("startup_deadline_s", STARTUP_DEADLINE_S)
        limit_s = None if payload.get("time_min") is None else payload["time_min"] * 60.0
        left_s = None if limit_s is None else limit_s - stop_margin_s(limit_s) - (time.monotonic() - started)
        with (
            process_group(topology, device, folder, attempt, deadline_s) as comm,
            PreemptionGuard(comm, left_s) as guard,
        ):
            progress = ProgressFile(folder / "progress", topology.rank)
            try:
                mpi = topology.launcher == "mpi" or bool(payload.get("mpi", False))
                array = payload.get("array_task", 0), payload.get("num_array_tasks", 1)
                package = payload["entry_point"].split(".")[0]
                checks = check_ranks(comm, topology, device, folder, payload["config"], package)
                _refuse_or_warn(checks, topology.rank)
                runtime = Runtime(
                    topology, comm, guard, progress, attempt, folder, device, mpi, *array, limit_s, tuple(checks)
                )
                entry_point(payload["config"], runtime)
            except Preempted:
                requeued = requeue_and_wait(identity, comm, guard)
                raise
        leave_mpi()
        code, message = int(ExitCode.DONE), "done"
    except SnwError as error:
        code, message = int(error.exit_code), str(error)
    except PeerGoneError as error:
        code, message, echo = 1, str(error), True
    except BaseException as error:  # noqa: BLE001 - the outcome of a rank is recorded whatever ended it
        problem = storage_problem(error, folder) if isinstance(error, OSError) else None
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
    end_process(code)


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
    run_job(json.loads(Path(sys.argv[1]).read_text()))
