"""What has ended the attempts of a job, for whoever asks; and whether one that its time limit ends comes anywhere.

A limit that nearly fills with starting up would requeue for ever: each attempt starts, is stopped, and leaves the next
one where it began. After a few such attempts the job ends instead (exit 4). Only attempts that the limit has ended
count. One that was preempted may have had a minute only, and many in a row say nothing of the limit. What tells them
apart:

- the job's own clock: it stops itself shortly before its limit, without any signal;
- USR2 as the first signal, where the limit is near enough for Slurm's `--signal`, and Slurm does not say that it is
  preempting the job (`PreemptTime`; with `preempt_send_user_signal` a preempted job gets USR2 too);
- SIGTERM as the first signal is a preemption, a drained node or a user, and never the limit.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, StrictInt, StrictStr
from pydantic.dataclasses import dataclass

from hpc.disk.files import atomic_write_json
from hpc.disk.reading import BadFileError, read_json
from hpc.disk.strict import validated
from hpc.errors import CorruptError, EnvironmentProblem

ATTEMPTS = "attempts.json"
FEW = 3
"""So many attempts that the limit has ended, one after another, show what it is worth."""
LEAST_WORK = 0.2
"""Of their time, or the limit is spent on starting."""
_EARLIEST_S = 60.0  # Slurm may send the signal of `--signal` a minute early
_MOST_BYTES = 2**20
_KEPT = 100
LIMIT = "its time limit came near"
"""Why an attempt has ended, where its limit has ended it."""
PREEMPTED = "preempted: a more urgent job needed its nodes"
"""Likewise, where Slurm says so."""
_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
log = logging.getLogger(__name__)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Attempt:
    """One attempt that was asked to stop, and did."""

    done: Annotated[StrictInt, Field(ge=0)] | None
    """Units of work that are kept: the step of the checkpoint, committed shards. None: it did not come to any."""
    seconds: _Seconds
    """From its begin to the end of its last save."""
    start_s: _Seconds | None
    """From its begin to its first report of work; None where there was none."""
    why: StrictStr = LIMIT
    """What has asked it to stop."""
    restarts: Annotated[StrictInt, Field(ge=0)] = 0
    """Of the job before this attempt."""
    ended: _Seconds = 0.0
    """Wall time at its end; for display only."""


def signal_is_of_limit(seconds: float, limit_s: float) -> bool:
    """Whether a USR2 so long after the begin may be that of `--signal`, which is sent in the last third, or sooner."""
    return seconds >= limit_s - limit_s / 3 - _EARLIEST_S


def verdict(attempts: Sequence[Attempt], limit_s: float) -> str | None:
    """Why there should be no further attempt after these, the oldest first; None where there should be one."""
    last = [attempt for attempt in attempts if attempt.why == LIMIT][-FEW:]
    if len(last) < FEW:
        return None
    reached = [attempt.done or 0 for attempt in last]
    gained = max(reached) - reached[0]  # an attempt that was stopped before it looked has reached nothing
    starts = [a.seconds if a.start_s is None else min(a.start_s, a.seconds) for a in last]
    total = sum(a.seconds for a in last)
    if gained > 0 and total - sum(starts) >= LEAST_WORK * total:
        return None
    took, left = sorted(starts)[FEW // 2], sorted(a.seconds - start for a, start in zip(last, starts, strict=True))
    progress = f"added {gained} to what is saved" if gained > 0 else "added nothing to what is saved"
    return (
        f"the time limit of {limit_s / 60:g} min is too short: the last {FEW} attempts that it has ended have "
        f"{progress}. A start took {took:.0f} s, and {left[FEW // 2]:.0f} s were left for work. Raise --time-min (or "
        "cluster.time_min). The job is not queued again; what is saved is kept, and the same command goes on there."
    )


def note_attempt(folder: Path, attempt: Attempt, limit_s: float | None) -> None:
    """Note an attempt of the job with this private folder; raises `EnvironmentProblem` where it should be the last.

    That is only where the limit has ended it.
    """
    file = folder / ATTEMPTS
    attempts = [*read_attempts(file), attempt]
    try:
        # Another attempt after this verdict is a submission by hand, which has a folder of its own.
        atomic_write_json(file, [dataclasses.asdict(each) for each in attempts[-_KEPT:]])
    except OSError as error:
        log.warning("%s could not be written: %s", file, error)
    problem = verdict(attempts, limit_s) if limit_s is not None and attempt.why == LIMIT else None
    if problem is not None:
        raise EnvironmentProblem(problem)


def read_attempts(file: Path) -> list[Attempt]:
    """What earlier attempts have left; none where that cannot be read, as it only ends what would go on in vain."""
    try:
        values = read_json(file, _MOST_BYTES)
        return [validated(Attempt, value, str(file), CorruptError) for value in values] if values else []
    except (OSError, BadFileError, CorruptError, TypeError):
        return []
