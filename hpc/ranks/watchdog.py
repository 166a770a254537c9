"""The rank's side of its watchdog (`hpc.ranks.watcher`): a process that ends a rank of which no thread can run.

What runs in threads here sees a peer that has died, a stop that was asked for, and steps that do not end. All of it
needs the interpreter's lock, which a rank that waits in C code may hold for ever. So a thread tells the watchdog once a
second that threads run. Only while it does not, and only if there is news that they should act on, does the watchdog.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

SIGN_S = 1.0
GRACE_S = 5.0
"""The watchdog is so much later than the threads of the rank, which end it with better words."""
_SHOW = signal.SIGRTMIN + 9
_CLOSE_S = 10.0
_PROGRAM = Path(__file__).with_name("watcher.py")
log = logging.getLogger(__name__)


class Watchdog:
    """The connection to the process; without one (`control` None) nothing is watched."""

    def __init__(self, control: socket.socket | None = None, process: subprocess.Popen[bytes] | None = None) -> None:
        self._control = control
        self._process = process
        self._lock = threading.Lock()
        self._finished = threading.Event()
        if control is not None:
            threading.Thread(target=self._give_signs, name="watchdog-signs", daemon=True).start()

    def watch(
        self,
        name: str,
        descriptor: int,
        why: str,
        limit_s: float,
        header: int = 0,
        farewell: str = "",
        echo: bool = False,
    ) -> None:
        """What arrives at the socket `descriptor` is news; the rank may be silent for `limit_s` while it is not read.

        `why` says what then was the cause; `{who}` in it is the message that has arrived, or `name`. A message has
        `header` bytes before it, of which the first four are its length, or ends with its line. One that begins
        with `farewell` is no news. `echo`: the cause is the end of another rank.
        """
        message = {"name": name, "why": why, "limit": limit_s + GRACE_S, "farewell": farewell, "echo": echo}
        self._tell(message | {"header": header}, descriptor)

    def news(self, name: str, why: str, limit_s: float, echo: bool = False) -> None:
        """News that the threads of this rank know and act on within `limit_s`, if they can run."""
        self._tell({"name": name, "why": why, "limit": limit_s + GRACE_S, "echo": echo})

    def forget(self, name: str) -> None:
        """Nothing under this name is of interest any more."""
        self._tell({"forget": name})

    def remove_at_end(self, path: Path) -> None:
        """Remove a file when this rank ends, however it ends."""
        self._tell({"remove": str(path)})

    def close(self) -> None:
        """The rank ends by itself now."""
        self._finished.set()
        with self._lock:
            if self._control is not None:
                self._control.close()
            self._control = None
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_CLOSE_S)

    def _give_signs(self) -> None:
        while not self._finished.wait(SIGN_S):
            self._tell({})

    def _tell(self, message: dict[str, object], *descriptors: int) -> None:
        with self._lock:
            if self._control is None:
                return
            try:
                socket.send_fds(self._control, [json.dumps(message).encode()], list(descriptors), socket.MSG_DONTWAIT)
            except BlockingIOError:
                log.debug("the watchdog does not listen at present")
            except OSError as error:
                log.warning("the watchdog of this rank has ended (%s): a hang in C code is not noticed", error)
                self._control.close()
                self._control = None


_current = Watchdog()


def watchdog() -> Watchdog:
    """The watchdog of this process."""
    return _current


def start_watchdog(log_file: Path, outcome_file: Path, restarts: int, controller: int | None) -> None:
    """Start the watchdog of this process; see `hpc.ranks.watcher.Watcher` for what it is told."""
    global _current
    faulthandler.register(_SHOW, file=2, all_threads=True)
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    place = {
        "control": its.fileno(),
        "rank": os.getpid(),
        "log": str(log_file),
        "outcome": str(outcome_file),
        "restarts": restarts,
        "show": _SHOW,
        "tick_s": SIGN_S,
        "controller": controller or 0,
    }
    command = [sys.executable, "-I", "-S", str(_PROGRAM), json.dumps(place)]
    # What stops the rank is for the rank: its watchdog is there until it has ended.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        process = subprocess.Popen(
            command, pass_fds=[its.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd="/"
        )
    except OSError as error:
        log.warning("no watchdog could be started (%s): a hang in C code is not noticed", error)
        ours.close()
    else:
        _current = Watchdog(ours, process)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        its.close()


def stop_watchdog() -> None:
    """Before this process ends by itself."""
    global _current
    _current.close()
    _current = Watchdog()
