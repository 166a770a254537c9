"""Who runs a job, and what it says of it: Slurm, or the process that runs the tasks on this machine.

Its word alone is not the end of a job; see `hpc.submit.submitted`.
"""

from __future__ import annotations

import contextlib
import math
import os
import pwd
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol

from hpc.disk.reading import BadFileError, read_json
from hpc.errors import explaining
from hpc.machine.processes import process_started, send_signal, tasks_of
from hpc.submit.local_tasks import EXIT_CODES

_SLURM_INTERVAL_S = 3.0
_SLURM_TIMEOUT_S = 20.0
_SLURM_ENDED = frozenset(
    [
        "BOOT_FAIL",
        "CANCELLED",
        "COMPLETED",
        "DEADLINE",
        "FAILED",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "PREEMPTED",
        "REVOKED",
        "TIMEOUT",
    ]
)
_SLURM_RUNNING = frozenset(
    ["RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING"]
)
# States in which a job may be seen for a moment before it is queued again.
_SLURM_SETTLE_S: Mapping[str, float] = {"PREEMPTED": 60.0, "NODE_FAIL": 60.0, "BOOT_FAIL": 60.0}
DEFAULT_SETTLE_S = 10.0
SILENT = "the controller does not answer"
CANCELLED = "CANCELLED"
"""How Slurm puts the end of a job by `scancel`, whoever it was and whether it ran or not."""
ALL_WELL = "exit code 0"
"""How the end of a local job in which nothing failed is put."""


@dataclass(frozen=True)
class Seen:
    """What the scheduler says."""

    phase: Literal["pending", "running", "ended", "unknown"]
    word: str = ""
    """In the scheduler's own words; for a pending job the reason."""
    restarts: int = 0
    settle_s: float = 0.0
    """How long an end must last before it is believed without a rank's word."""
    of_ranks: Mapping[int, str] = field(default_factory=dict)
    """What is known of single ranks that did not end well."""
    by: str = ""
    """Who has cancelled the job, such as `by anna`; empty where that is not known."""
    exit_code: int = 0
    """What the processes have ended with, where that is known and is not 0."""


class Scheduler(Protocol):
    """Whoever runs the job."""

    def look(self) -> Seen:
        """The present state; may be some seconds old."""

    def stop(self) -> None:
        """Ask the job to save and end."""

    def kill(self) -> None:
        """End it at once."""


class SlurmQueue:
    """What Slurm says of one job, or of all tasks of a job array, by one question for all of them.

    `squeue` is asked and, once that has forgotten a job, `sacct`. submitit's own watcher is not used: it keeps a state
    once it looked final, although a requeue revokes it, never ends a preempted job that is not requeued, and without
    accounting knows nothing.
    """

    def __init__(self, job_id: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._job_id = job_id
        """Of the job or of the whole array; of several, with commas."""
        self._clock = clock
        self._asked = -math.inf
        self._lines: dict[str, tuple[str, int, str]] | None = None

    def look(self) -> tuple[float, dict[str, tuple[str, int, str]] | None]:
        """When Slurm was last asked, and (state, restarts, reason) of each job id; None while it does not answer."""
        if self._clock() - self._asked >= _SLURM_INTERVAL_S:
            self._lines = self._ask()
            self._asked = self._clock()
        return self._asked, self._lines

    def _ask(self) -> dict[str, tuple[str, int, str]] | None:
        columns = "ArrayJobID:20,ArrayTaskID:20,State:30,RestartCnt:10,Reason:60"
        queue = slurm_command("squeue", "-h", "-r", "-t", "all", "-j", self._job_id, "-O", columns)
        if queue is None or (queue.returncode != 0 and "Invalid job id" not in queue.stderr):
            return None
        lines = {}
        for line in queue.stdout.splitlines() if queue.returncode == 0 else []:
            task, restarts = line[20:40].strip(), line[70:80].strip()
            name = f"{line[:20].strip()}_{task}" if task.isdigit() else line[:20].strip()
            lines[name] = line[40:70].strip(), int(restarts) if restarts.isdigit() else 0, line[80:].strip()
        return lines

    def accounted(self, job_id: str) -> str | None:
        """The state in which accounting says a job has ended, `CANCELLED by 1000` with the number of who did it."""
        done = slurm_command("sacct", "-n", "-X", "-P", "-o", "State", "-j", job_id)
        states = done.stdout.split("\n") if done and done.returncode == 0 else []
        state = next((line.strip() for line in states if line.strip()), "")
        return state if state.split(" ")[0] in _SLURM_ENDED else None


class SlurmJobs:
    """One job of Slurm, or one task of a job array."""

    def __init__(self, job_id: str, queue: SlurmQueue | None = None) -> None:
        self._job_id = job_id
        self._queue = queue or SlurmQueue(job_id)
        self._asked = -math.inf
        self._running_restarts: int | None = None
        self._seen = Seen("pending")

    def look(self) -> Seen:
        """The present state; while the controller is silent the last one stands."""
        asked, lines = self._queue.look()
        if asked > self._asked:
            self._asked = asked
            self._seen = self._understand(lines)
        return self._seen

    def stop(self) -> None:
        """Cancel the job."""
        self.kill()

    def kill(self) -> None:
        """Cancel the job."""
        slurm_command("scancel", self._job_id)

    def _understand(self, lines: Mapping[str, tuple[str, int, str]] | None) -> Seen:
        if lines is None:
            return Seen(self._seen.phase, SILENT, self._seen.restarts)
        if self._job_id in lines:
            seen = self._noted(*lines[self._job_id])
            if seen.word == CANCELLED and seen.phase == "ended":  # the queue does not say who
                return replace(seen, by=_by(self._queue.accounted(self._job_id) or ""))
            return seen
        state = self._queue.accounted(self._job_id)
        if state is not None:
            return replace(_slurm_seen(state.split(" ")[0], self._seen.restarts, ""), by=_by(state))
        return Seen("ended", "gone from the queue", self._seen.restarts, DEFAULT_SETTLE_S)

    def _noted(self, state: str, restarts: int, reason: str) -> Seen:
        """Like `_slurm_seen`, but sees the requeue while the old incarnation is still being ended."""
        if state == "RUNNING":
            self._running_restarts = restarts
        if state == "COMPLETING" and self._running_restarts is not None and restarts > self._running_restarts:
            return Seen("pending", "the old attempt is being ended", restarts)
        return _slurm_seen(state, restarts, reason)


class LocalProcess:
    """The process that runs the tasks of a job on this machine; it leads a session, and the tasks are in its group."""

    def __init__(
        self,
        pid: int,
        folder: Path,
        process: subprocess.Popen[bytes] | None,
        started: str | None,
        host: str | None = None,
    ) -> None:
        """`started` and `host` say which process had that pid; `process` is for whoever has started it."""
        self._pid = pid
        self._folder = folder
        self._process = process
        self._started = started
        self._elsewhere = None if host in (None, socket.gethostname()) else host

    def look(self) -> Seen:
        """Running, also while tasks live on alone, or ended with the exit codes in words."""
        if self._alive():
            return Seen("running")
        codes = self._exit_codes()
        if codes is not None:
            words = {rank: f"rank {rank} {_in_words(code)}" for rank, code in enumerate(codes) if code}
            return Seen("ended", ", ".join(words.values()) or ALL_WELL, of_ranks=words, exit_code=explaining(codes))
        if self._elsewhere is not None:
            return Seen("unknown", f"was started on {self._elsewhere}; what runs there cannot be seen from here")
        orphans = self._orphans()
        if orphans:
            pids = " ".join(map(str, orphans))
            return Seen(
                "running", f"its controller was killed; the ranks save and end by themselves, or: kill -9 {pids}"
            )
        if self._process is not None and self._process.returncode > 0:  # it could not say more: the disk is full
            code = self._process.returncode
            return Seen("ended", f"its ranks ended with exit code {code}", exit_code=code)
        return Seen("ended", "the process that runs the tasks was killed")

    def stop(self) -> None:
        """SIGTERM, which the process hands on to every task."""
        for pid in [self._pid] if self._alive() else self._orphans():
            send_signal(pid, signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the tasks too: they are all in the group of the process, which leads its own session."""
        if self._alive():
            os.killpg(self._pid, signal.SIGKILL)
        if self._process is not None:
            self._process.wait()  # nothing outlives SIGKILL
        for pid in self._orphans():
            send_signal(pid, signal.SIGKILL)

    def _alive(self) -> bool:
        if self._process is not None:
            return self._process.poll() is None
        return self._elsewhere is None and process_started(self._pid) == self._started is not None

    def _orphans(self) -> list[int]:
        """Tasks that have outlived the process."""
        return [] if self._elsewhere is not None or self._alive() else tasks_of(self._pid, self._folder)

    def _exit_codes(self) -> list[int] | None:
        """What the process has left at its end; None where it could not, or where that is damaged."""
        try:
            codes = read_json(self._folder / EXIT_CODES, 2**20)
        except (OSError, BadFileError):
            return None
        return codes if isinstance(codes, list) and all(type(code) is int for code in codes) else None


def slurm_command(*command: str, timeout_s: float = _SLURM_TIMEOUT_S) -> subprocess.CompletedProcess[str] | None:
    """Run one of Slurm's client programs; None when it is missing or does not answer in time."""
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=timeout_s, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return None


def _slurm_seen(state: str, restarts: int, reason: str) -> Seen:
    if state in _SLURM_ENDED:
        return Seen("ended", state, restarts, _SLURM_SETTLE_S.get(state, DEFAULT_SETTLE_S))
    if state in _SLURM_RUNNING:
        return Seen("running", "" if state == "RUNNING" else state.lower(), restarts)
    return Seen("pending", reason if reason not in ("", "None") else "", restarts)


def _by(state: str) -> str:
    """Of `CANCELLED by 1000`: by whom, by name where the number has one here."""
    number = state.rpartition(" by ")[2]
    if not (state.startswith(f"{CANCELLED} by ") and number.isascii() and number.isdecimal() and len(number) < 10):
        return ""
    with contextlib.suppress(KeyError):
        return f"by {pwd.getpwuid(int(number)).pw_name}"
    return f"by user {number}"


def _in_words(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
