"""Processes of this machine, by their numbers, which come again."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path


def process_started(pid: int) -> str | None:
    """When a process started, as a pid alone may have been given to another; None if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def tasks_of(controller: int, folder: Path) -> list[int]:
    """The tasks in the group of a process that has ended, with their logs in `folder`.

    Another group may have had its number since, a daemon's for instance, so each must say itself whose task it is.
    """
    numbers = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
    return [pid for pid in numbers if _group(pid) == controller and _is_task_of(pid, controller, folder)]


def send_signal(pid: int, number: signal.Signals) -> None:
    """A signal to a process that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _group(pid: int) -> int | None:
    with contextlib.suppress(OSError):
        return os.getpgid(pid)
    return None


def _is_task_of(pid: int, controller: int, folder: Path) -> bool:
    """Whether a process that still runs was started as a task by `controller`, for the logs in `folder`."""
    try:
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        output = Path(f"/proc/{pid}/fd/1").resolve()
    except OSError:  # it has just ended, or is somebody else's
        return False
    ours = f"SUBMITIT_LOCAL_JOB_ID={controller}".encode() in variables
    return ours and output.parent == folder.resolve() and process_started(pid) is not None
