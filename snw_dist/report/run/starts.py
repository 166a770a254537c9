"""Where the training of a run was started, and started again: from what its jobs have told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from hpc.disk.reading import BadFileError, read_small
from hpc.ranks.attempts import ATTEMPTS
from hpc.told import TOLD

_MOST_BYTES = 2**26
_LINE = re.compile(r"^(?:resuming at|no checkpoint in .*: starting at) step (\d+) of \d+ \(epoch ", re.MULTILINE)
"""See `snw_dist.train.lines.start_line`."""


class Start(NamedTuple):
    """One start of the training."""

    step: int
    """From which it goes on."""
    why: str
    """Why it was started again; "" for the first."""


def starts_of(jobs: Path) -> list[Start]:
    """All starts of training jobs, in order; fewer where a file is gone or cannot be read: they are no result."""
    found: list[Start] = []
    for job in sorted(path.parent for path in jobs.glob("*/submitted.json")):
        limited = '"done"' in _text(job / ATTEMPTS)
        for number, match in enumerate(_LINE.finditer(_text(job / "progress" / TOLD))):
            again = "queued again: preempted, or at its time limit" if limited else "queued again: preempted"
            why = "" if not found else again if number else "started again by a new job"
            found.append(Start(int(match[1]), why))
    return found


def _text(path: Path) -> str:
    try:
        return read_small(path, _MOST_BYTES).decode("utf-8", "replace")
    except (OSError, BadFileError):
        return ""
