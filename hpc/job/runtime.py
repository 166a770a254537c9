"""What an entry point gets beside its configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from hpc.progress import ProgressFile
from hpc.ranks.communicator import Communicator
from hpc.ranks.preemption import PreemptionGuard
from hpc.ranks.preflight import Check
from hpc.ranks.topology import Topology


@dataclass(frozen=True)
class Runtime:
    """The ranks of one job, as an entry point `(config, runtime)` sees them."""

    topology: Topology
    comm: Communicator
    guard: PreemptionGuard
    progress: ProgressFile
    attempt: str
    """Names this incarnation of the job: scheduler id and restart count."""
    job_folder: Path
    """Private folder of this submission, shared by its ranks."""
    device: torch.device
    mpi: bool = False
    """The launcher has started the ranks as one MPI job."""
    array_task: int = 0
    """Which task of a job array this is; the tasks share nothing but files."""
    num_array_tasks: int = 1
    time_limit_s: float | None = None
    """Limit of the job, where it has one."""
    checks: tuple[Check, ...] = ()
    """What was asked before the entry point was called."""

    def stop_requested(self) -> bool:
        """This rank or another was asked to stop; for ranks that work apart, so the word passes through the store."""
        key = f"{self.attempt}-stop"
        if self.guard.requested:
            self.comm.store.set(key, "1")
        self.guard.mark_boundary()
        return bool(self.comm.store.check([key]))
