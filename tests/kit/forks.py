"""Forks of the test's process: many that begin at the same instant, and one that is killed at any line that it runs."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any


@dataclass
class Fork:
    """A child process; its action's result comes through a pipe."""

    pid: int
    pipe: int

    def result(self) -> Any:
        """What its action has returned; None when it was killed."""
        with os.fdopen(self.pipe, "rb") as file:
            data = file.read()
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        assert code in (0, -signal.SIGKILL), f"the fork ended with {code}: {data.decode()}"
        return json.loads(data) if code == 0 else None


def fork(action: Callable[[], Any]) -> Fork:
    """Run `action` in a child of this process; what it returns is plain data."""
    source, sink = os.pipe()
    pid = os.fork()
    if pid:
        os.close(sink)
        return Fork(pid, source)
    code = 1
    try:
        data, code = json.dumps(action()), 0
    except BaseException:  # noqa: BLE001 - a child must never go on in the test's place
        data = traceback.format_exc()
    with os.fdopen(sink, "w") as file:
        file.write(data)
    os._exit(code)


def killed_at(line: int, files: tuple[str, ...], action: Callable[[], Any]) -> Callable[[], int]:
    """`action`, but a SIGKILL ends the process at the `line`-th line that it runs in `files` (ends of their paths).

    Returns the number of lines when it has not come so far.
    """

    def run() -> int:
        count = 0

        def trace(frame: FrameType, event: str, _: Any) -> Any:
            nonlocal count
            if not frame.f_code.co_filename.endswith(files):
                return None
            if event == "line":
                count += 1
                if count == line:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace

        sys.settrace(trace)
        try:
            action()
        finally:
            sys.settrace(None)
        return count

    return run


def wait_for_file(file: Path, timeout_s: float = 60.0) -> None:
    """Until the file is there."""
    end = time.monotonic() + timeout_s
    while not file.exists():
        assert time.monotonic() < end, f"{file} has not come"
        time.sleep(0.001)
