"""A job that has been handed over: where its files are, what has become of it, how to end it.

Two witnesses are heard. Each rank leaves an outcome (`hpc.ranks.outcome`) when it ends by itself; the scheduler knows
of jobs that were killed. A scheduler's word alone is believed only after a while, because a job that is being
requeued passes through states that look like an end.
"""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StrictInt, StrictStr
from pydantic.dataclasses import dataclass as checked_dataclass

from hpc.disk.reading import BadFileError, read_json
from hpc.disk.strict import validated
from hpc.errors import INTERRUPTED, CorruptError, ExitCode, InputError, explaining
from hpc.logs import log_file, log_tail
from hpc.machine.processes import process_started
from hpc.ranks.outcome import Outcome, read_outcomes
from hpc.submit.pending import meaning
from hpc.submit.schedulers import (
    ALL_WELL,
    CANCELLED,
    DEFAULT_SETTLE_S,
    LocalProcess,
    Scheduler,
    Seen,
    SlurmJobs,
    SlurmQueue,
)
from hpc.thread_limit import is_thread_limit, thread_limit_text

Status = Literal["pending", "running", "done", "failed", "cancelled", "requeued", "unknown"]
Cluster = Literal["slurm", "local"]
RECORD = "submitted.json"
CONTROLLER_LOG = "controller.log"
_WHY_ENDED = {  # where the scheduler's word alone does not say what to change
    "TIMEOUT": ", as its time limit ran out before it had saved and stopped (raise --time-min)",
    "OUT_OF_MEMORY": ", as it needs more memory than was asked for (raise mem_gb_per_node of the profile)",
    "DEADLINE": ", as its deadline has passed (deadline among additional_parameters of the profile)",
    "NODE_FAIL": ", as a node has failed (the same command goes on from what is saved)",
    "BOOT_FAIL": ", as a node did not start (the same command goes on from what is saved)",
}
_OUTCOMES_S = 60.0  # the other ranks and the scheduler are waited for so long once rank 0 has reported its end


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
        return self.status in ("done", "failed", "cancelled")


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

    def advice(self, state: JobState) -> str | None:
        """For a job that waits: what its reason means and what to do, unless it only has to wait."""
        waits = self.cluster == "slurm" and state.status in ("pending", "requeued") and state.message
        return meaning(state.message or "", self.job_id) if waits else None

    def log_path(self, rank: int, stream: Literal["out", "err"] = "err") -> Path:
        """What one rank has printed."""
        return self.log_folder / f"{self.job_id}_{rank}_log.{stream}"

    def poll(self) -> JobState:
        """What has become of the job by now; quick, may be called several times a second."""
        seen = self._scheduler.look()
        restarts = seen.restarts
        if not self._fresh and seen.phase == "ended":  # accounting does not say how often it was queued again
            restarts = max([restarts, *(outcome.restarts for outcome in read_outcomes(self.job_folder).values())])
        attempt = max(self._attempt, restarts + 1)
        outcomes = read_outcomes(self.job_folder, restarts)
        if self._is_over(seen, outcomes):
            return self._end(seen, outcomes, attempt)
        if seen.phase == "unknown":
            return JobState("unknown", message=seen.word, attempt=attempt)
        if seen.phase == "pending":
            if self._is_running:  # seen running before, so this is a new attempt even if Slurm does not count it yet
                attempt = max(attempt, self._attempt + 1)
            self._is_running, self._attempt = False, attempt
            status: Status = "requeued" if attempt > 1 else "pending"
            return JobState(status, message=seen.word or None, attempt=attempt)
        self._is_running, self._attempt = True, attempt
        word = f"ended as {seen.word}, making sure" if seen.phase == "ended" else seen.word
        return JobState("running", message=word or None, attempt=attempt)

    def ask_through(self, queue: SlurmQueue) -> None:
        """Share one question to Slurm with other jobs; nothing for a job of this machine."""
        if self.cluster == "slurm":
            self._scheduler = SlurmJobs(self.job_id, queue)

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
            "log_folder": os.path.relpath(self.log_folder, self.job_folder),  # a run may be moved as a whole
            "num_tasks": self.num_tasks,
            "process_started": started,
            "host": socket.gethostname(),
        }

    def _is_over(self, seen: Seen, outcomes: dict[int, Outcome]) -> bool:
        now = self._clock()
        # Found again, it may have been moved to where its number is another job's, or nobody's.
        if not self._fresh and self._all_done(outcomes) and (self.cluster == "slurm" or seen.phase != "running"):
            return True
        if seen.phase == "unknown":
            return len(outcomes) == self.num_tasks
        # A queued job will run (again): what its ranks have left is of an attempt that no longer counts.
        reported = 0 in outcomes and outcomes[0].exit_code != ExitCode.PREEMPTED and seen.phase != "pending"
        self._reported_since = _since(self._reported_since, reported, now)
        self._ended_since = _since(self._ended_since, seen.phase == "ended", now)
        if self._ended_since is not None:
            settle_s = seen.settle_s if self._fresh or seen.settle_s > DEFAULT_SETTLE_S else 0.0
            return bool(outcomes) or now - self._ended_since >= settle_s
        if self.cluster == "local" or self._reported_since is None:
            return False
        return self._all_done(outcomes) or now - self._reported_since >= _OUTCOMES_S

    def _all_done(self, outcomes: Mapping[int, Outcome]) -> bool:
        return sorted(outcomes) == [*range(self.num_tasks)] and not any(o.exit_code for o in outcomes.values())

    def _end(self, seen: Seen, outcomes: dict[int, Outcome], attempt: int) -> JobState:
        """The first cause, not what the other ranks have noticed of it."""
        failures = {rank: outcome for rank, outcome in outcomes.items() if outcome.exit_code != ExitCode.DONE}
        causes = {rank: outcome for rank, outcome in failures.items() if not outcome.echo}
        clean = seen.phase != "ended" or seen.word in ("COMPLETED", "gone from the queue", ALL_WELL)
        if self._all_done(outcomes) or (0 in outcomes and not failures and clean):
            return JobState("done", int(ExitCode.DONE), outcomes[0].message, attempt)
        if causes:
            code = explaining(outcome.exit_code for outcome in causes.values())
            message = _failure_text(causes, code)
            silent = sorted(set(range(self.num_tasks)) - set(outcomes))
            if silent and code != ExitCode.PREEMPTED:
                message += f"\nNo word from {_ranks(silent)} ({seen.word or seen.phase})."
            if seen.word != CANCELLED or code != ExitCode.PREEMPTED:
                return JobState("failed", code, message, attempt)
        if seen.word == CANCELLED:
            return JobState("cancelled", INTERRUPTED, self._cancelled(seen), attempt)
        return JobState("failed", seen.exit_code or 1, self._silent_death(seen, outcomes), attempt)

    def _cancelled(self, seen: Seen) -> str:
        """Who has ended the job, and what that means for it."""
        if not log_file(self.job_folder, 0).exists():
            return f"{seen.by or 'by scancel'}, before it had started"
        return f"{seen.by or 'by scancel'}; what it has saved is kept, and the same command goes on from there"

    def _silent_death(self, seen: Seen, outcomes: Mapping[int, Outcome]) -> str:
        """Say what the scheduler knows, and the end of the log of the rank that has gone first."""
        silent = [rank for rank in range(self.num_tasks) if rank not in outcomes] or [0]
        named = Counter(outcome.gone for outcome in outcomes.values() if outcome.gone in silent)
        silent.sort(key=lambda rank: -named[rank])
        word = seen.of_ranks.get(silent[0], seen.word) if named else seen.word
        text = f"The job ended without a word of its own: {word}{_WHY_ENDED.get(word, '')}."
        if named and word not in _WHY_ENDED:
            text += f" Rank {silent[0]} was killed, or its node failed. The same command goes on from what is saved."
        for rank in silent:
            tail = log_tail(self.log_path(rank))
            if any(map(is_thread_limit, tail)):
                text += f" A library could not start a thread: {thread_limit_text()}"
            if tail:
                return f"{text} Last lines of {self.log_path(rank)}:\n" + "\n".join(tail)
        controller = self.log_folder / CONTROLLER_LOG
        if self.cluster == "local" and (tail := log_tail(controller)):
            return f"{text} Last lines of {controller}:\n" + "\n".join(tail)
        return f"{text} Nothing in {self.log_path(silent[0])} says why."


@checked_dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class _Record:
    """`submitted.json`; one that was written before places were relative has no host."""

    name: StrictStr
    job_id: Annotated[str, Field(pattern=r"^\d{1,18}(_\d{1,18})?$")]
    cluster: Cluster
    log_folder: StrictStr
    """Seen from the folder of the job."""
    num_tasks: Annotated[StrictInt, Field(ge=1, le=10**6)]
    process_started: StrictStr | None
    host: StrictStr | None = None


def load_submitted(job_folder: Path) -> SubmittedJob:
    """Find a job again by its private folder.

    Raises `InputError` when nothing was submitted from there, `CorruptError` when its record is damaged.
    """
    file = job_folder / RECORD
    try:
        record = validated(_Record, read_json(file, 2**20), str(file), CorruptError)
    except BadFileError as error:
        raise CorruptError(str(error)) from None
    except OSError as error:
        raise InputError(f"{file}: no submitted job is described here: {error.strerror}") from None
    logs = Path(os.path.normpath(job_folder / record.log_folder))
    if record.cluster == "slurm":
        scheduler: Scheduler = SlurmJobs(record.job_id)
    else:
        pid = int(record.job_id.partition("_")[0])
        scheduler = LocalProcess(pid, logs, None, record.process_started, record.host)
    place = record.name, record.job_id, record.cluster, job_folder, logs, record.num_tasks
    return SubmittedJob(*place, scheduler, fresh=False)


def submission_number(job_folder: Path) -> int:
    """Which submission of its run a job folder belongs to, from its name; 0 for those that were named by time only."""
    number, _, rest = job_folder.name.partition("-")
    return int(number) if rest and number.isascii() and number.isdecimal() and len(number) < 16 else 0


def _since(before: float | None, holds: bool, now: float) -> float | None:
    """Since when something holds without a break."""
    if not holds:
        return None
    return now if before is None else before


def _failure_text(failures: Mapping[int, Outcome], code: int) -> str:
    """The distinct messages that go with `code`, at most three."""
    ranks: dict[str, list[int]] = {}
    for rank, outcome in sorted(failures.items()):
        if outcome.exit_code == code:
            ranks.setdefault(outcome.message, []).append(rank)
    lines = [f"{message} ({_ranks(who)})" if len(ranks) > 1 else message for message, who in ranks.items()]
    more = f"\n... and {len(lines) - 3} further messages in the logs" if len(lines) > 3 else ""
    return "\n".join(lines[:3]) + more


def _ranks(ranks: Sequence[int]) -> str:
    shown = ", ".join(str(rank) for rank in ranks[:8]) + (", ..." if len(ranks) > 8 else "")
    return f"rank{'s' if len(ranks) > 1 else ''} {shown}"
