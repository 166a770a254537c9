"""Stop together: signals set a flag, every step all ranks agree on it, a watchdog ends what cannot agree.

A Python signal handler does not run while the main thread is blocked in a collective, and a save inside a handler can
stop half way; therefore the handler sets a flag and nothing else, and the loop acts on it at a step boundary. The
watchdog's thread hears of the signal through Python's wakeup descriptor, also when the handler cannot run. SIGTERM
counts like USR2, because without `preempt_send_user_signal` in slurm.conf SIGTERM is all a preempted job gets; the
handlers of `hpc.job.on_node`, which ignore it while a job starts, are replaced.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, TypeVar, cast

from hpc.errors import ExitCode
from hpc.ranks.background import Background
from hpc.ranks.communicator import Communicator
from hpc.ranks.watchdog import watchdog

T = TypeVar("T")
STOP_SIGNALS = (signal.SIGUSR2, signal.SIGTERM)
_LOOK_S = 0.5
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
        self._first_signal: int | None = None
        self._flagged_at: float | None = None
        self._boundary_at = time.monotonic()
        self._finished = threading.Event()
        self._previous: dict[signal.Signals, Any] = {}
        self._previous_wakeup = -1
        self._name = f"stop request {id(self)}"

    def __enter__(self) -> PreemptionGuard:
        self._heard, self._wakeup = socket.socketpair()
        self._heard.setblocking(False)
        self._wakeup.setblocking(False)
        self._previous_wakeup = signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        for number in STOP_SIGNALS:
            self._previous[number] = signal.signal(number, self._handle)
        watchdog().watch(self._name, self._heard.fileno(), self._no_boundary, self._watchdog_s)
        self._watchdog = threading.Thread(target=self._watch, name="preemption-watchdog", daemon=True)
        self._watchdog.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._finished.set()
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._previous_wakeup)
        with contextlib.suppress(BlockingIOError):  # full: then there is something to wake up for anyway
            self._wakeup.send(b"\0")
        self._watchdog.join()
        watchdog().forget(self._name)
        watchdog().forget(f"{self._name} heard")
        self._heard.close()
        self._wakeup.close()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._count += 1
        if self._first_signal is None:
            self._first_signal = number
        if self._flagged_at is None:
            self._flagged_at = time.monotonic()

    @property
    def _no_boundary(self) -> str:
        return f"asked to stop, but no step boundary within {self._watchdog_s:.0f} s"

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

    @property
    def first_signal(self) -> int | None:
        """The stop signal that came first; None where there was none."""
        return self._first_signal

    def should_stop(self) -> bool:
        """Collective: true on all ranks when any of them was asked to stop. Also marks a step boundary."""
        return self.boundary(False)[0]

    def boundary(self, busy: bool) -> tuple[bool, bool]:
        """Collective: `should_stop`, and whether any rank is `busy` with something in the background."""
        self.mark_boundary()
        stop, any_busy = self._comm.any_of(self.requested, busy)
        return stop, any_busy

    def wait_for(self, work: Background[Any] | None) -> None:
        """Collective: wait until no rank's work is running; a rank without any gives None.

        As long as the work of any rank moves, this is no hang for any of them. What stands still is left to the
        watchdog, on all ranks at the same time.
        """
        while True:
            running = work is not None and work.wait(_LOOK_S)
            any_running, moved = self._comm.any_of(running, work is not None and work.moved())
            if moved:
                self.mark_boundary()
            if not any_running:
                return

    def on_rank_0(self, action: Callable[[], T]) -> T:
        """Like `Communicator.on_rank_0`, for writing that may take long; the action runs in a thread."""
        work = Background(action, "rank-0-writer") if self._comm.rank == 0 else None
        self.wait_for(work)
        return self._comm.on_rank_0(lambda: cast(Background[T], work).result())

    def mark_boundary(self) -> None:
        """Tell the watchdog that this rank makes progress."""
        self._boundary_at = time.monotonic()

    def _watch(self) -> None:
        is_known = False
        poll = select.poll()  # select() refuses descriptors above 1,023, and rank 0 holds one for each rank
        poll.register(self._heard, select.POLLIN)
        while not self._finished.is_set():
            if poll.poll(500):
                arrived = self._heard.recv(4096)
                if self._flagged_at is None and any(number in arrived for number in STOP_SIGNALS):
                    self._flagged_at = time.monotonic()
            if not self.requested or self._flagged_at is None:
                continue
            if not is_known:
                watchdog().news(f"{self._name} heard", self._no_boundary, self._watchdog_s)
                is_known = True
            waited = time.monotonic() - max(self._flagged_at, self._boundary_at)
            if waited > self._watchdog_s:
                log.error("%s: ending this rank", self._no_boundary)
                logging.shutdown()
                os._exit(ExitCode.PREEMPTED)
