"""No further process or thread can be started: which limit that is, with its numbers.

Python says "can't start new thread", the libraries for matrices "Resource temporarily unavailable", and neither says
of what.
"""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

_SIGNS = ("can't start new thread", "pthread_create failed", "Thread creation failed", "fork: retry", "fork: Resource")
_GROUPS = Path("/sys/fs/cgroup")


def is_thread_limit(text: str) -> bool:
    """Whether an error or a line of a log says that a process or thread could not be started."""
    return any(sign in text for sign in _SIGNS)


def thread_limit_text() -> str:
    """The limits that hold here, and what to do."""
    most = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    limits = [] if most == resource.RLIM_INFINITY else [f"{most} for all processes of this user (`ulimit -u`)"]
    limits += _groups()
    return (
        f"no further process or thread can be started; the limit is {', or '.join(limits) or 'not known'}. Raise it "
        "(`ulimit -u`, the control group of the job), or start fewer threads (OMP_NUM_THREADS=1) or ranks."
    )


def _groups() -> Iterator[str]:
    """The limits of this process's control groups, of version 2 and 1."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, name = line.split(":", 2)
            if controllers not in ("", "pids"):
                continue
            folder = _GROUPS / controllers / name.lstrip("/")
            with contextlib.suppress(OSError):
                most, now = ((folder / file).read_text().strip() for file in ("pids.max", "pids.current"))
                if most != "max":
                    yield f"{most} in the control group {name} ({now} are there)"
