"""Stop together: signals set a flag, every step all ranks agree on it, a watchdog ends what cannot agree.

A Python signal handler does not run while the main thread is blocked in a collective, and a save inside a handler can
stop half way; therefore the handler sets a flag and nothing else, and the loop acts on it at a step boundary. SIGTERM
counts like USR2, because without `preempt_send_user_signal` in slurm.conf SIGTERM is all a preempted job gets; the
handlers that submitit installed (they swallow SIGTERM) are replaced.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import threading
import time
from types import FrameType, TracebackType
from typing import Any

from hpc.communicator import Communicator
from hpc.errors import ExitCode
from hpc.topology import JobIdentity

STOP_SIGNALS = (signal.SIGUSR2, signal.SIGTERM)
log = logging.getLogger(__name__)


class PreemptionGuard:
    """Context manager around the work of one rank; `should_stop()` is called by all ranks once a step.

    `time_left_s` is this job's own limit: when it runs out the flag is set without any signal. `watchdog_s` is how
    long a rank may be without a step boundary once the flag is set; then the process ends itself with exit code 75,
    leaving the last good checkpoint, rather than be killed while it hangs.
    """

    def __init__(self, comm: Communicator, time_left_s: float | None = None, watchdog_s: float = 60.0) -> None:
        self._comm = comm
        self._end = None if time_left_s is None else time.monotonic() + time_left_s
        self._watchdog_s = watchdog_s
        self._count = 0
        self._flagged_at: float | None = None
        self._boundary_at = time.monotonic()
        self._finished = threading.Event()
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> PreemptionGuard:
        for number in STOP_SIGNALS:
            self._previous[number] = signal.signal(number, self._handle)
        threading.Thread(target=self._watch, name="preemption-watchdog", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._finished.set()
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._count += 1
        if self._flagged_at is None:
            self._flagged_at = time.monotonic()

    @property
    def requested(self) -> bool:
        """This rank alone was asked to stop, by a signal or by its time limit. Never act on it without agreement."""
        if self._end is not None and time.monotonic() >= self._end and self._flagged_at is None:
            self._flagged_at = time.monotonic()
        return self._flagged_at is not None

    @property
    def num_signals(self) -> int:
        """How many stop signals have arrived."""
        return self._count

    def should_stop(self) -> bool:
        """Collective: true on all ranks when any of them was asked to stop. Also marks a step boundary."""
        self.mark_boundary()
        return self._comm.any(self.requested)

    def mark_boundary(self) -> None:
        """Tell the watchdog that this rank makes progress."""
        self._boundary_at = time.monotonic()

    def _watch(self) -> None:
        while not self._finished.wait(0.5):
            if not self.requested or self._flagged_at is None:
                continue
            waited = time.monotonic() - max(self._flagged_at, self._boundary_at)
            if waited > self._watchdog_s:
                log.error("asked to stop, but no step boundary within %.0f s: ending this rank", self._watchdog_s)
                logging.shutdown()
                os._exit(ExitCode.PREEMPTED)


def requeue_and_wait(identity: JobIdentity, comm: Communicator, guard: PreemptionGuard, wait_s: float = 600.0) -> bool:
    """Rank 0 asks Slurm to requeue this job, then every rank waits to be ended.

    A job that exits by itself inside the partition's GraceTime, with 0 or any other code, is COMPLETED or FAILED and
    never comes back; one that asks for its requeue first does. Returns False at once where there is no Slurm job or
    the requeue was refused, True when the scheduler's own SIGTERM for the requeue has arrived.
    """
    accepted = comm.broadcast(_requeue(identity) if comm.rank == 0 else None)
    if not accepted:
        return False
    seen, end = guard.num_signals, time.monotonic() + wait_s
    while guard.num_signals == seen and time.monotonic() < end:
        time.sleep(0.2)
    return True


def _requeue(identity: JobIdentity) -> bool:
    if identity.job_id is None:
        return False
    scontrol = shutil.which("scontrol")
    if scontrol is None:
        log.error("scontrol is not on this node: submit the same command again to continue from the checkpoint")
        return False
    done = subprocess.run([scontrol, "requeue", identity.job_id], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        log.error("scontrol requeue %s: %s. Submit the same command again.", identity.job_id, done.stderr.strip())
        return False
    log.info("job %s: requeue accepted, waiting to be ended", identity.job_id)
    return True
