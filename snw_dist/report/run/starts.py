"""Where the training of a run was started, and started again, and why: from what its jobs have left."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hpc.disk.reading import BadFileError, read_json, read_small
from hpc.errors import ExitCode
from hpc.job.request import REQUEST
from hpc.ranks.attempts import ATTEMPTS, LIMIT, PREEMPTED, Attempt, read_attempts
from hpc.ranks.outcome import read_outcomes
from hpc.told import TOLD

_MOST_BYTES = 2**26
_LINE = re.compile(r"^(?:resuming at|no checkpoint in .*: starting at) step (\d+) of \d+ \(epoch ", re.MULTILINE)
"""See `snw_dist.train.lines.start_line`."""
_KINDS = {PREEMPTED: "preempted", LIMIT: "time limit"}
_STOPPED, _KILLED, _MORE, _NEW = "after a stop", "killed or node failed", "for more steps", "by a new job"


class Start(NamedTuple):
    """One start of the training."""

    step: int
    """From which it goes on."""
    why: str = ""
    """Why it was started again; "" for the first."""
    kind: str = ""
    """The same in few words, for a legend."""


def starts_of(jobs: Path, run: str) -> list[Start]:
    """All starts of the training of a run, in order, by the folders of its jobs.

    The folders may hold jobs that train other runs, those of a comparison. Fewer where a file is gone or cannot be
    read: they are no result.
    """
    found: list[Start] = []
    before: Path | None = None
    for job in sorted(path.parent for path in jobs.glob("*/submitted.json")):
        steps = [int(match[1]) for match in _LINE.finditer(_text(job / "progress" / TOLD))]
        if not steps or _run_of(job) not in (run, None):
            continue
        found.append(Start(steps[0]) if before is None else Start(steps[0], *_after(before)))
        found += _again(steps, read_attempts(job / ATTEMPTS))
        before = job
    return found


def _again(steps: Sequence[int], attempts: Sequence[Attempt]) -> Iterator[Start]:
    """The starts of one job after its first: each attempt that was asked to stop has noted why, and what is kept."""
    left = list(attempts)
    for step in steps[1:]:
        at = next((at for at, attempt in enumerate(left) if attempt.done == step), None)
        if at is None:
            yield Start(step, "queued again: killed, or its node failed", _KILLED)
            continue
        why = left[at].why
        del left[: at + 1]
        yield Start(step, f"queued again: {why}", _KINDS.get(why, _STOPPED))


def _after(before: Path) -> tuple[str, str]:
    """Why and kind of a start by a new job, from how the job before has ended."""
    outcomes, attempts = read_outcomes(before), read_attempts(before / ATTEMPTS)
    if not outcomes and attempts:  # it was cancelled while it waited for Slurm
        return f"started again by a new job: the one before had ended: {attempts[-1].why}", _STOPPED
    words = sorted(outcomes.items(), key=lambda item: (item[1].echo, item[1].exit_code == 0, item[0]))
    if not words or words[0][1].echo:
        who = f"rank {words[0][1].gone}" if words and words[0][1].gone is not None else "a rank"
        return f"started again by a new job: {who} of the one before was killed, or its node failed", _KILLED
    first = words[0][1]
    if first.exit_code == 0:
        return "started again by a new job: the one before had done all of its steps", _MORE
    said = first.message.splitlines()[0] if first.message.strip() else f"exit code {first.exit_code}"
    kind = _STOPPED if first.exit_code == ExitCode.PREEMPTED else _NEW
    return f"started again by a new job: the one before had ended: {said}", kind


def _run_of(job: Path) -> str | None:
    """The run that a job trains; None where that cannot be read."""
    try:
        config: Any = read_json(job / REQUEST)["config"]
        name = config["run"]["name"]
    except (OSError, BadFileError, KeyError, TypeError):
        return None
    return name if isinstance(name, str) else None


def _text(path: Path) -> str:
    try:
        return read_small(path, _MOST_BYTES).decode("utf-8", "replace")
    except (OSError, BadFileError):
        return ""
