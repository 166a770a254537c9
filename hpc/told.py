"""What a command says about its work while it goes on: nothing about what is quick, a line about all that takes long.

Libraries tell it to a log, so that in a job it is in the log of the rank; a command prints it (`show_told`), as it does
what its jobs do.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
from collections.abc import Iterator

from hpc.shown import printable

SAY_AFTER_S = 2.0
"""What takes longer than this is said."""
REMIND_S = 60.0
_log = logging.getLogger(__name__)


def tell(line: str) -> None:
    """A line that people should see whatever the time it takes."""
    _log.info("%s", line)


@contextlib.contextmanager
def long_work(what: str) -> Iterator[None]:
    """Say `what` is being done once that has taken two seconds, again every minute, and how long it took."""
    started, done = time.monotonic(), threading.Event()

    def remind() -> None:
        wait = SAY_AFTER_S
        while not done.wait(wait):
            tell(f"{what} ..." if wait == SAY_AFTER_S else f"{what}: {duration(time.monotonic() - started)} so far")
            wait = REMIND_S

    reminder = threading.Thread(target=remind, name="long-work", daemon=True)
    reminder.start()
    try:
        yield
        took = time.monotonic() - started
    finally:
        done.set()
        reminder.join()  # its line comes before the next one
    if took >= SAY_AFTER_S:
        tell(f"{what}: {duration(took)}")


def duration(seconds: float) -> str:
    """Such as `4.2 s`, `3 min 05 s` or `2 h 07 min`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def show_told() -> None:
    """Print what is told in this process, and nothing twice."""
    if not any(isinstance(handler, _Printed) for handler in _log.handlers):
        _log.addHandler(_Printed())
    _log.setLevel(logging.INFO)
    _log.propagate = False


class _Printed(logging.Handler):
    """The lines as they are. A terminal that has gone does not end the work."""

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.write(f"{printable(record.getMessage())}\n")
            sys.stdout.flush()
