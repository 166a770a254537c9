"""Runs programs for another process, its owner, and ends with it: `python -I -S keeper.py PID FOLDER PREFIX`.

`hpc.machine.child` starts it. A program that is started with `subprocess` outlives a Python that is killed: it goes on
for many minutes, and so do the processes that it has started, in a temporary folder that nobody removes any more. The
keeper is small, in a session of its own that no signal of a terminal reaches, and holds the end of a pipe that closes
when its owner ends, however that ends. Then, or when it is asked to end itself, it kills all that descends from it and
removes the folder. As "subreaper" it is given every process below it that has lost its parent, also one in another
session.

It makes a folder `PREFIX...` in FOLDER and answers one JSON line with its path. Then each line that it reads is the
list of words of a command, and it answers with how that has ended. What it prints is in `OUTPUT` of the folder.
"""

# ruff: noqa: PTH118, PTH123, PTH208 - pathlib would cost this process as much as all the rest
from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from types import FrameType
from typing import NoReturn

OUTPUT = "output.txt"
_LOOK_S = 1.0
_SET_PARENT_DEATH_SIGNAL, _SET_CHILD_SUBREAPER = 1, 36
_PRCTL = ctypes.CDLL(None).prctl
_ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Keeper:
    """Serves the process `owner`."""

    def __init__(self, owner: int, folder: str) -> None:
        self._owner = owner
        self._folder = folder
        self._woken, wake = os.pipe()
        for descriptor in (self._woken, wake):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        self._poll = select.poll()
        self._poll.register(0, select.POLLIN)
        self._poll.register(self._woken, select.POLLIN)

    def run(self) -> None:
        """Until the owner has ended or closes the pipe."""
        _say({"folder": self._folder})
        while True:
            while not self._hears():
                pass
            line = b""
            while not line.endswith(b"\n"):
                part = os.read(0, 65536)
                if not part:
                    return
                line += part
            _say(self._command(json.loads(line)))

    def _command(self, words: list[str]) -> dict[str, object]:
        with open(os.path.join(self._folder, OUTPUT), "wb") as output:
            try:
                process = subprocess.Popen(
                    words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, preexec_fn=_end_with_keeper
                )
            except OSError as error:
                return {"error": str(error)}
            while process.poll() is None:
                if self._hears():  # nothing is said to us meanwhile: the other end was closed
                    sys.exit()
        _end_descendants()
        return {"status": process.returncode}

    def _hears(self) -> bool:
        """Wait for something; whether there is something to read. A fork of the owner may hold the pipe open."""
        events = [descriptor for descriptor, _ in self._poll.poll(_LOOK_S * 1000)]
        if os.getppid() != self._owner:
            sys.exit()
        if self._woken in events:
            os.read(self._woken, 4096)
        return 0 in events


def _end_with_keeper() -> None:
    """In a program before it begins: should the keeper be killed, the program is."""
    _PRCTL(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)


def _end_descendants() -> None:
    """Kill all children; theirs become ours, and so on until there is none."""
    while True:
        for pid in _children():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _children() -> list[int]:
    found = []
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                if int(file.read().rpartition(")")[2].split()[1]) == os.getpid():
                    found.append(int(name))
    return found


def _say(answer: dict[str, object]) -> None:
    os.write(1, json.dumps(answer).encode() + b"\n")


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit()


def main() -> None:
    """Make the folder, serve, end what is left, and remove the folder."""
    for number in _ENDS:
        signal.signal(number, _leave)
    _PRCTL(_SET_CHILD_SUBREAPER, 1)
    owner, place, prefix = sys.argv[1:]
    folder = None
    try:
        try:
            folder = tempfile.mkdtemp(prefix=prefix, dir=place)
        except OSError as error:
            return _say({"error": str(error)})
        Keeper(int(owner), folder).run()
    except BrokenPipeError:  # nobody is left to hear the answer
        return None
    finally:
        for number in _ENDS:
            signal.signal(number, signal.SIG_IGN)
        _end_descendants()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
