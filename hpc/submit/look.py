"""All that can be seen of a job from outside, by reading files alone: its progress, restarts, checkpoint, curves, log.

A look must not weigh on a shared file system. Whoever looks again and again reads at most `MOST_READS` files of ranks
a second, and what changes rarely every `RARELY_S` seconds; `hpc/README.md` says what that makes.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hpc.curves import Curve, Work, WorkOf
from hpc.disk.reading import BadFileError, read_json
from hpc.disk.strict import validated
from hpc.errors import CorruptError, ExitCode, InputError
from hpc.job.request import REQUEST, RankRequest
from hpc.logs import log_file, log_tail
from hpc.progress import ProgressRecord, ProgressSummary, read_progress, summarise
from hpc.ranks.attempts import ATTEMPTS, read_attempts
from hpc.ranks.outcome import outcome_file, read_outcomes
from hpc.save.checkpoint_names import place_of
from hpc.submit.submitted import JobState, SubmittedJob

MOST_READS = 50
"""Progress files a second, of all jobs that are looked at together."""
RARELY_S = 5.0
_MOST_EARLIER = 5
_LOG_LINES = 10
UNSEEN = "ended without a word: killed, or its node failed"


@dataclass(frozen=True)
class Restart:
    """An attempt of a job, or an earlier job of its name, that has ended before this one."""

    job: str
    attempt: int
    ended: float | None
    """Wall time; None where nobody has noted it."""
    why: str
    done: int | None
    """What was kept of it, in units of its work; None where that is not known."""


@dataclass(frozen=True)
class LastCheckpoint:
    """The newest checkpoint; whether it is whole was not looked at."""

    name: str
    saved: float
    """Wall time."""


@dataclass(frozen=True)
class LogEnd:
    """The last lines of the rank that has failed first."""

    rank: int
    file: Path
    lines: Sequence[str]


@dataclass(frozen=True)
class Look:
    """What is seen of a job at one moment."""

    job: SubmittedJob
    state: JobState
    ranks: Sequence[ProgressRecord] = ()
    restarts: Sequence[Restart] = ()
    """The oldest first."""
    checkpoint: LastCheckpoint | None = None
    curves: Sequence[Curve] = ()
    log_end: LogEnd | None = None
    starting: str = ""
    """The last line in the log of a job that runs and has reported no progress yet."""

    @property
    def starts_again(self) -> bool:
        """Whether it runs, and all that its ranks have reported is of the attempt before."""
        ended = self.restarts[-1].ended if self.restarts else None
        if self.state.status != "running" or ended is None or not self.ranks:
            return False
        return max(record.updated for record in self.ranks) <= ended

    @property
    def progress(self) -> list[ProgressSummary]:
        """Of all ranks together; there is no time left for a job that does not work."""
        found = summarise(self.ranks)
        works = self.state.status == "running" and not self.starts_again
        return found if works else [replace(item, eta_s=None) for item in found]


class Looker:
    """Looks at one job again and again, and remembers what is read rarely."""

    def __init__(
        self,
        job: SubmittedJob,
        work_of: WorkOf,
        earlier: Sequence[SubmittedJob] = (),
        ranks_in_all: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`earlier`: jobs of its name, the oldest first; `ranks_in_all`: of all jobs that are looked at with this."""
        self.job = job
        self._work = _work(job, work_of)
        self._earlier = [restart for old in earlier[-_MOST_EARLIER:] for restart in _earlier_job(old)]
        self._clock = clock
        self._often_s = max(ranks_in_all, job.num_tasks) / MOST_READS
        self._read_ranks = self._read_rest = -float("inf")
        self._ended = False
        self._last = Look(job, JobState("unknown"))

    def look(self, state: JobState | None = None) -> Look:
        """What is seen now; the state may have been asked for already. A job that has ended is read once more only."""
        state = state or (self._last.state if self._ended else self.job.poll())
        now, was_ended = self._clock(), self._ended
        self._ended = state.ended
        seen = replace(self._last, state=state)
        if not was_ended and (state.ended or now - self._read_ranks >= self._often_s):
            self._read_ranks = now
            seen = replace(seen, ranks=read_progress(self.job.progress_folder))
        if not was_ended and (state.ended or now - self._read_rest >= RARELY_S):
            self._read_rest = now
            seen = replace(
                seen,
                restarts=[*self._earlier, *attempts_before(self.job, state.attempt)],
                checkpoint=None if self._work is None else last_checkpoint(self._work.checkpoints),
                curves=[] if self._work is None else self._work.curves.read(),
                log_end=end_of_failed(self.job) if state.status == "failed" else None,
                starting=_starting(self.job) if state.status == "running" and not seen.ranks else "",
            )
        self._last = seen
        return seen


def lookers(jobs: Sequence[SubmittedJob], work_of: WorkOf, known: Iterable[SubmittedJob] = ()) -> list[Looker]:
    """A looker for each job, that share the reads among them; `known` are all jobs of their folders."""
    everything, num_ranks = list(known), sum(job.num_tasks for job in jobs)

    def earlier(job: SubmittedJob) -> list[SubmittedJob]:
        folder = job.job_folder.parent
        before = [each for each in everything if each.name == job.name and each.job_folder.parent == folder]
        return [each for each in before if each.job_folder.name < job.job_folder.name]

    return [Looker(job, work_of, earlier(job), num_ranks) for job in jobs]


def attempts_before(job: SubmittedJob, attempt: int) -> list[Restart]:
    """Why each attempt before this one has ended, as it has said itself; some say nothing."""
    noted = {each.restarts + 1: each for each in read_attempts(job.job_folder / ATTEMPTS)}
    found = []
    for number in range(1, attempt):
        said = noted.get(number)
        if said is None:
            found.append(Restart(job.job_id, number, None, UNSEEN, None))
        else:
            found.append(Restart(job.job_id, number, said.ended or None, said.why, said.done))
    return found


def _earlier_job(job: SubmittedJob) -> list[Restart]:
    """How the attempts of an earlier job of the name have ended, where a rank has said so; nothing else is asked.

    Where a rank was killed, the others have only said that it is gone. Where a job was cancelled, it had been asked to
    stop before, and has noted that.
    """
    outcomes = read_outcomes(job.job_folder)
    if not outcomes:
        noted = read_attempts(job.job_folder / ATTEMPTS)
        return attempts_before(job, noted[-1].restarts + 2) if noted else []
    rank = min(outcomes, key=lambda each: (outcomes[each].echo, outcomes[each].exit_code == 0, each))
    gone = outcomes[rank].gone
    why = outcomes[rank].message if gone is None else f"rank {gone} was killed, or its node failed"
    with contextlib.suppress(OSError):
        ended = outcome_file(job.job_folder, rank).stat().st_mtime
        attempt = outcomes[rank].restarts + 1
        return [*attempts_before(job, attempt), Restart(job.job_id, attempt, ended, why, None)]
    return []


def last_checkpoint(root: Path) -> LastCheckpoint | None:
    """The newest folder with the name of a checkpoint, and when it was made; None where there is none."""
    try:
        _, name = max((place, path.name) for path in root.iterdir() if (place := place_of(path.name)))
        return LastCheckpoint(name, (root / name).stat().st_mtime)
    except (OSError, ValueError):
        return None


def end_of_failed(job: SubmittedJob) -> LogEnd | None:
    """The last lines of the rank that failed, unless its error is one for users, whose message says all."""
    causes = {rank: each for rank, each in read_outcomes(job.job_folder).items() if each.exit_code and not each.echo}
    for rank, outcome in sorted(causes.items()):
        if outcome.exit_code not in set(ExitCode):
            lines = log_tail(job.log_path(rank), _LOG_LINES)
            return LogEnd(rank, job.log_path(rank), lines) if lines else None
    return None


def _starting(job: SubmittedJob) -> str:
    """Its last line that is ours: a compiler that is started logs lines that say nothing to people."""
    lines = log_tail(log_file(job.job_folder, 0))
    ours = [line for line in lines if re.match(r"\S+ r\d+ [A-Z]+ +hpc\.", line)]
    return (ours or lines or [""])[-1]


def _work(job: SubmittedJob, work_of: WorkOf) -> Work | None:
    """What the job works on; None where its request cannot be read."""
    try:
        file = job.job_folder / REQUEST
        request = validated(RankRequest, read_json(file), str(file))
    except (OSError, BadFileError, CorruptError, InputError):
        return None
    return work_of(request.entry_point, request.config, job.job_folder.parent.parent)
