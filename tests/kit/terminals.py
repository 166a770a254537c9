"""A command on a pseudo terminal: what it shows there, and keys for it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import termios
import time
from collections.abc import Mapping, Sequence

_CONTROL = re.compile(r"\x1b\[[?0-9;]*[a-zA-Z]")


class Terminal:
    """A process whose terminal this is; use `with`."""

    def __init__(self, command: Sequence[str], variables: Mapping[str, str], rows: int = 24, columns: int = 80) -> None:
        self.shown = ""
        """All that came, without cursor movements and colours; a line that is drawn over is one of its own."""
        self.pid, self._descriptor = pty.fork()
        if self.pid == 0:
            os.execvpe(command[0], command, {**os.environ, "TERM": "xterm", "PYTHONUTF8": "1", **variables})
        fcntl.ioctl(self._descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def wait_for(self, text: str, timeout_s: float = 60) -> None:
        """Until the text has come since the last wait."""
        end, seen = time.monotonic() + timeout_s, len(self.shown)
        while text not in self.shown[seen:]:
            assert time.monotonic() < end, f"{text!r} did not come:\n{self.shown}"
            assert self._read(), f"ended without {text!r}:\n{self.shown}"

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._descriptor, keys.encode())

    def end(self) -> int:
        """Wait for the end; the exit code."""
        while self._read():
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _read(self) -> bool:
        if not select.select([self._descriptor], [], [], 0.2)[0]:
            return True
        try:
            data = os.read(self._descriptor, 65536)
        except OSError:  # how Linux says that the process has gone
            return False
        self.shown += _CONTROL.sub("", data.decode("utf-8", "replace")).replace("\r", "\n")
        return bool(data)
