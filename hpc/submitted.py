"""A job that has been handed over: where its files are, what has become of it, how to end it.

Two witnesses are heard. Each rank leaves `outcome-rank<r>.json` when it ends by itself; the scheduler knows
of jobs that were killed. A scheduler's word alone is believed only after a while, because a job that is being
requeued passes through states that look like an end.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from hpc.errors import ExitCode, InputError
from hpc.local_tasks import EXIT_CODES

Status = Literal["pending", "running", "done", "failed", "requeued"]
Cluster = Literal["slurm", "local"]
RECORD = "submitted.json"
_TAIL_LINES = 15
_OUTCOMES_S = 60.0  # the other ranks and the scheduler are waited for so long once rank 0 has reported its end
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
_DEFAULT_SETTLE_S = 10.0


@dataclass(frozen=True)
class Seen:
    """What the scheduler says."""

    phase: Literal["pending", "running", "ended", "unknown"]
    word: str = ""
    """In the scheduler's own words; for a pending job the reason."""
    restarts: int = 0
    settle_s: float = 0.0
    """How long an end must last before it is believed without a rank's word."""


@dataclass(frozen=True)
class JobState:
    """What has become of a job."""

    status: Status
    exit_code: int | None = None
    message: str | None = None
    attempt: int = 1

    @property
    def ended(self) -> bool:
        """Nothing more will happen."""
        return self.status in ("done", "failed")


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
        """Of the job or of the whole array."""
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
        """The state in which accounting says a job has ended."""
        done = slurm_command("sacct", "-n", "-X", "-P", "-o", "State", "-j", job_id)
        states = done.stdout.split("\n") if done and done.returncode == 0 else []
        state = next((line.split()[0] for line in states if line.strip()), "")
        return state if state in _SLURM_ENDED else None


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
            return Seen(self._seen.phase, "the controller does not answer", self._seen.restarts)
        if self._job_id in lines:
            return self._noted(*lines[self._job_id])
        state = self._queue.accounted(self._job_id)
        if state is not None:
            return _slurm_seen(state, self._seen.restarts, "")
        return Seen("ended", "gone from the queue", self._seen.restarts, _DEFAULT_SETTLE_S)

    def _noted(self, state: str, restarts: int, reason: str) -> Seen:
        """Like `_slurm_seen`, but sees the requeue while the old incarnation is still being ended."""
        if state == "RUNNING":
            self._running_restarts = restarts
        if state == "COMPLETING" and self._running_restarts is not None and restarts > self._running_restarts:
            return Seen("pending", "the old attempt is being ended", restarts)
        return _slurm_seen(state, restarts, reason)


class LocalProcess:
    """The process that runs the tasks of a job on this machine."""

    def __init__(self, pid: int, folder: Path, process: subprocess.Popen[bytes] | None, started: str | None) -> None:
        self._pid = pid
        self._folder = folder
        self._process = process
        self._started = started

    def look(self) -> Seen:
        """Running, or ended with the exit codes in words."""
        return Seen("running") if self._alive() else Seen("ended", self._ending())

    def stop(self) -> None:
        """SIGTERM, which the process hands on to every task."""
        if self._alive():
            os.kill(self._pid, signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the tasks too: they are all in the group of the process, which leads its own session."""
        if self._alive():
            os.killpg(self._pid, signal.SIGKILL)

    def _alive(self) -> bool:
        if self._process is not None:
            return self._process.poll() is None
        return process_started(self._pid) == self._started is not None

    def _ending(self) -> str:
        try:
            codes = json.loads((self._folder / EXIT_CODES).read_text())
        except (OSError, ValueError):
            return "the process that runs the tasks was killed"
        return ", ".join(f"rank {rank} {_in_words(code)}" for rank, code in enumerate(codes) if code) or "exit code 0"


class SubmittedJob:
    """A job, seen from the machine that asked for it."""

    def __init__(
        self,
        name: str,
        job_id: str,
        cluster: Cluster,
        job_folder: Path,
        log_folder: Path,
        num_tasks: int,
        scheduler: Scheduler,
        clock: Callable[[], float] = time.monotonic,
        fresh: bool = True,
    ) -> None:
        self.name = name
        self.job_id = job_id
        self.cluster = cluster
        self.job_folder = job_folder
        self.log_folder = log_folder
        self.num_tasks = num_tasks
        self._scheduler = scheduler
        self._clock = clock
        self._fresh = fresh  # just submitted, so its end will be witnessed; else it may have ended long ago
        self._is_running = False
        self._attempt = 1
        self._ended_since: float | None = None
        self._reported_since: float | None = None

    @property
    def progress_folder(self) -> Path:
        """Where the ranks leave their progress files."""
        return self.job_folder / "progress"

    def log_path(self, rank: int, stream: Literal["out", "err"] = "err") -> Path:
        """What one rank has printed."""
        return self.log_folder / f"{self.job_id}_{rank}_log.{stream}"

    def poll(self) -> JobState:
        """What has become of the job by now; quick, may be called several times a second."""
        seen = self._scheduler.look()
        attempt = max(self._attempt, seen.restarts + 1)
        outcomes = self._outcomes(seen.restarts)
        if self._is_over(seen, outcomes):
            return self._end(seen, outcomes, attempt)
        if seen.phase in ("pending", "unknown"):
            if self._is_running:  # seen running before, so this is a new attempt even if Slurm does not count it yet
                attempt = max(attempt, self._attempt + 1)
            self._is_running, self._attempt = False, attempt
            status: Status = "requeued" if attempt > 1 else "pending"
            return JobState(status, message=seen.word or None, attempt=attempt)
        self._is_running, self._attempt = True, attempt
        word = f"ended as {seen.word}, making sure" if seen.phase == "ended" else seen.word
        return JobState("running", message=word or None, attempt=attempt)

    def stop(self) -> None:
        """Ask the job to save and end (locally), or cancel it (Slurm)."""
        self._scheduler.stop()

    def kill(self) -> None:
        """End the job at once."""
        self._scheduler.kill()

    def record(self) -> dict[str, Any]:
        """What `load_submitted` needs."""
        started = process_started(int(self.job_id)) if self.cluster == "local" else None
        return {
            "name": self.name,
            "job_id": self.job_id,
            "cluster": self.cluster,
            "log_folder": str(self.log_folder),
            "num_tasks": self.num_tasks,
            "process_started": started,
        }

    def _is_over(self, seen: Seen, outcomes: dict[int, tuple[int, str]]) -> bool:
        now = self._clock()
        # A queued job will run (again): what its ranks have left is of an attempt that no longer counts.
        reported = 0 in outcomes and outcomes[0][0] != ExitCode.PREEMPTED and seen.phase != "pending"
        self._reported_since = _since(self._reported_since, reported, now)
        self._ended_since = _since(self._ended_since, seen.phase == "ended", now)
        if self._ended_since is not None:
            settle_s = seen.settle_s if self._fresh or seen.settle_s > _DEFAULT_SETTLE_S else 0.0
            return bool(outcomes) or now - self._ended_since >= settle_s
        if self.cluster == "local" or self._reported_since is None:
            return False
        all_well = len(outcomes) == self.num_tasks and not any(code for code, _ in outcomes.values())
        return all_well or now - self._reported_since >= _OUTCOMES_S

    def _end(self, seen: Seen, outcomes: dict[int, tuple[int, str]], attempt: int) -> JobState:
        failures = {rank: outcome for rank, outcome in outcomes.items() if outcome[0] != ExitCode.DONE}
        clean = seen.phase != "ended" or seen.word in ("COMPLETED", "exit code 0", "gone from the queue")
        if outcomes.get(0, (1, ""))[0] == ExitCode.DONE and not failures and clean:
            return JobState("done", int(ExitCode.DONE), outcomes[0][1], attempt)
        if failures:
            code = min((code for code, _ in failures.values()), key=exit_code_weight)
            message = _failure_text(failures, code)
            silent = sorted(set(range(self.num_tasks)) - set(outcomes))
            if silent and code != ExitCode.PREEMPTED:
                message += f"\nNo word from {_ranks(silent)} ({seen.word or seen.phase})."
            return JobState("failed", code, message, attempt)
        return JobState("failed", 1, self._silent_death(seen, outcomes), attempt)

    def _silent_death(self, seen: Seen, outcomes: dict[int, tuple[int, str]]) -> str:
        """Say what the scheduler knows, and the end of the log of the first rank that left no word."""
        silent = [rank for rank in range(self.num_tasks) if rank not in outcomes] or [0]
        text = f"The job ended without a word of its own: {seen.word}."
        for rank in silent:
            tail = _tail(self.log_path(rank))
            if tail:
                return f"{text} Last lines of {self.log_path(rank)}:\n" + "\n".join(tail)
        return f"{text} Nothing in {self.log_path(silent[0])}."

    def _outcomes(self, restarts: int) -> dict[int, tuple[int, str]]:
        """Rank -> (exit code, message), as far as the ranks have left them; not those of earlier attempts."""
        outcomes: dict[int, tuple[int, str]] = {}
        for path in self.job_folder.glob("outcome-rank*.json"):
            try:
                content = json.loads(path.read_text())
                rank = int(path.stem.removeprefix("outcome-rank"))
                if int(content.get("restarts", restarts)) == restarts:
                    outcomes[rank] = (int(content["exit_code"]), str(content["message"]))
            except (OSError, ValueError, TypeError, KeyError, AttributeError):
                continue
        return outcomes


def load_submitted(job_folder: Path) -> SubmittedJob:
    """Find a job again by its private folder; raises `InputError` when nothing was submitted from there."""
    try:
        record = json.loads((job_folder / RECORD).read_text())
        log_folder = Path(record["log_folder"])
        job_id, cluster = str(record["job_id"]), record["cluster"]
        started = record["process_started"]
        scheduler: Scheduler = (
            SlurmJobs(job_id) if cluster == "slurm" else LocalProcess(int(job_id), log_folder, None, started)
        )
        return SubmittedJob(
            record["name"],
            job_id,
            cluster,
            job_folder,
            log_folder,
            int(record["num_tasks"]),
            scheduler,
            fresh=False,
        )
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{job_folder / RECORD}: no submitted job is described here: {error}") from None


def slurm_command(*command: str, timeout_s: float = _SLURM_TIMEOUT_S) -> subprocess.CompletedProcess[str] | None:
    """Run one of Slurm's client programs; None when it is missing or does not answer in time."""
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=timeout_s, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return None


def process_started(pid: int) -> str | None:
    """When a process started, as a pid alone may have been given to another; None if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def _slurm_seen(state: str, restarts: int, reason: str) -> Seen:
    if state in _SLURM_ENDED:
        return Seen("ended", state, restarts, _SLURM_SETTLE_S.get(state, _DEFAULT_SETTLE_S))
    if state in _SLURM_RUNNING:
        return Seen("running", "" if state == "RUNNING" else state.lower(), restarts)
    return Seen("pending", reason if reason not in ("", "None") else "", restarts)


def _since(before: float | None, holds: bool, now: float) -> float | None:
    """Since when something holds without a break."""
    if not holds:
        return None
    return now if before is None else before


def exit_code_weight(code: int) -> tuple[int, int]:
    """Order of exit codes by what they explain: what the user can mend, anything, preemption."""
    known = (ExitCode.BAD_INPUT, ExitCode.CORRUPT, ExitCode.ENVIRONMENT)
    return (0 if code in known else 2 if code == ExitCode.PREEMPTED else 1, code)


def _failure_text(failures: Mapping[int, tuple[int, str]], code: int) -> str:
    """The distinct messages that go with `code`, at most three."""
    ranks: dict[str, list[int]] = {}
    for rank, (other, message) in sorted(failures.items()):
        if other == code:
            ranks.setdefault(message, []).append(rank)
    lines = [f"{message} ({_ranks(who)})" if len(ranks) > 1 else message for message, who in ranks.items()]
    more = f"\n... and {len(lines) - 3} further messages in the logs" if len(lines) > 3 else ""
    return "\n".join(lines[:3]) + more


def _ranks(ranks: Sequence[int]) -> str:
    shown = ", ".join(str(rank) for rank in ranks[:8]) + (", ..." if len(ranks) > 8 else "")
    return f"rank{'s' if len(ranks) > 1 else ''} {shown}"


def _in_words(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def _tail(path: Path) -> list[str]:
    """The last lines of a log that may be very long."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 16384))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    return [line for line in text.splitlines() if line.strip()][-_TAIL_LINES:]
