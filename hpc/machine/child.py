"""Programs of others that take long, and the folder they work in: both end with this process, however it ends."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hpc.disk.reading import parse_json
from hpc.errors import EnvironmentProblem
from hpc.machine.keeper import OUTPUT

_PROGRAM = Path(__file__).with_name("keeper.py")
_TAIL_BYTES = 65_536


class Ended(NamedTuple):
    """How a program has ended."""

    status: int
    """Its exit status; negative: ended by that signal."""
    output: str
    """The end of what it has printed, at most 64 KiB."""


class Workroom:
    """A temporary folder, and a process beside this one (`hpc.machine.keeper`) that runs programs and removes it.

    Raises `EnvironmentProblem` where no such folder can be made.
    """

    def __init__(self, keeper: subprocess.Popen[str], place: str) -> None:
        self._keeper = keeper
        answer = self._answer()
        if "error" in answer:
            raise EnvironmentProblem(f"{place}: no temporary folder can be made here: {answer['error']}. Set TMPDIR.")
        self.folder = Path(answer["folder"])

    def run(self, command: Sequence[str]) -> Ended:
        """Run a program to its end; what it leaves running is killed.

        Raises `EnvironmentProblem` where it cannot start, or where the keeper was killed.
        """
        assert self._keeper.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended, as the answer will tell
            self._keeper.stdin.write(json.dumps(list(command)) + "\n")
            self._keeper.stdin.flush()
        answer = self._answer()
        if "error" in answer:
            raise EnvironmentProblem(f"{command[0]}: cannot be started: {answer['error']}.")
        with (self.folder / OUTPUT).open("rb") as output:
            output.seek(max(0, output.seek(0, os.SEEK_END) - _TAIL_BYTES))
            return Ended(answer["status"], output.read().decode("utf-8", "replace"))

    def _answer(self) -> dict[str, Any]:
        assert self._keeper.stdout is not None
        line = self._keeper.stdout.readline()
        if not line:
            raise EnvironmentProblem(
                f"process {self._keeper.pid}, which runs programs for this one, was ended from outside. Start again."
            )
        answer: dict[str, Any] = parse_json(line, _PROGRAM.name)
        return answer


@contextlib.contextmanager
def workroom(prefix: str) -> Iterator[Workroom]:
    """A `Workroom` whose folder has a name that begins with `prefix`; at the end both are gone.

    Also when this process is killed, by whatever signal. Raises `EnvironmentProblem` where no folder can be made.
    """
    place = tempfile.gettempdir()
    keeper = subprocess.Popen(
        [sys.executable, "-I", "-S", str(_PROGRAM), str(os.getpid()), place, prefix],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    room = None
    try:
        room = Workroom(keeper, place)
        yield room
    finally:
        with contextlib.suppress(OSError):
            keeper.communicate()  # closes its input, and waits
        if keeper.returncode and room is not None:  # it was killed: what it would have done
            with contextlib.suppress(ProcessLookupError):
                os.killpg(keeper.pid, signal.SIGKILL)
            shutil.rmtree(room.folder, ignore_errors=True)
