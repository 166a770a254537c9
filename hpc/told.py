"""What a command says about its work while it goes on: nothing about what is quick, a line about all that takes long.

Libraries tell it to a log; a command prints it (`show_told`). In a job it is in the log of the rank, and what the first
rank tells also goes to a file (`keep_told`), from which the command that follows the job prints it (`Told`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path

from hpc.amounts import duration
from hpc.disk.reading import BadFileError, open_regular
from hpc.shown import printable

SAY_AFTER_S = 2.0
"""What takes longer than this is said."""
REMIND_S = 60.0
TOLD = "told.txt"
_MOST_AT_ONCE = 2**16
_log = logging.getLogger(__name__)
_current: ContextVar[Work | None] = ContextVar("_current", default=None)
"""The innermost work that goes on."""


def tell(line: str) -> None:
    """A line that people should see whatever the time it takes."""
    _log.info("%s", line)


def warn(line: str) -> None:
    """A line that also whoever uses us as a library should see: on standard error, where no log is set up."""
    _log.warning("%s", line)


class Work:
    """Work that may take long: what it is, and how much of it is done where that is known."""

    def __init__(self, what: str, total: int = 0, unit: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        self.what, self.done, self.total, self.unit = what, 0, total, unit
        self._clock, self._started = clock, clock()

    @property
    def seconds(self) -> float:
        """Since it has begun."""
        return self._clock() - self._started

    def figures(self) -> str:
        """Such as `3 of 12 runs, about 24.0 s left`, `3 runs, 8.0 s so far` or `8.0 s so far`."""
        took = self.seconds
        if 0 < self.done < self.total:
            left = duration(took * (self.total - self.done) / self.done)
            return f"{self.done:,} of {self.total:,} {self.unit}, about {left} left"
        return f"{f'{self.done:,} {self.unit}, ' if self.done else ''}{duration(took)} so far"


@contextlib.contextmanager
def long_work(what: str, total: int = 0, unit: str = "") -> Iterator[None]:
    """Show `what` is being done once that has taken two seconds, and say how long it took.

    On a terminal there is a bar. Anywhere else there is a line at the beginning and one every minute. Whoever does the
    work says by `did` how much of it is done; `total` is how much there is, 0 where nobody knows.
    """
    work, done = Work(what, total, unit), threading.Event()
    show = _bar if _is_printed() and os.isatty(1) else _lines
    shower = threading.Thread(target=show, args=(work, done), name="long-work", daemon=True)
    shower.start()
    around = _current.set(work)
    try:
        yield
        took = work.seconds
    finally:
        _current.reset(around)
        done.set()
        shower.join()  # its line comes before the next one
    if took >= SAY_AFTER_S:
        tell(f"{what}: {duration(took)}")


def did(unit: str, number: int = 1) -> None:
    """So much more is done of the work that is going on, where that is counted in this unit; else nothing happens."""
    work = _current.get()
    if work is not None and work.unit == unit:
        work.done += number


def _lines(work: Work, done: threading.Event) -> None:
    wait = SAY_AFTER_S
    while not done.wait(wait):
        tell(f"{work.what} ..." if wait == SAY_AFTER_S else f"{work.what}: {work.figures()}")
        wait = REMIND_S


def _bar(work: Work, done: threading.Event) -> None:
    if done.wait(SAY_AFTER_S):
        return
    from hpc import bars  # what draws is loaded where something is drawn

    bar = bars.begin(work)
    while not done.wait(bars.REFRESH_S):
        bars.move(bar, work)
    bars.end(bar)


def show_told() -> None:
    """Print what is told in this process, and nothing twice."""
    if not _is_printed():
        _log.addHandler(_Printed())
    _log.setLevel(logging.INFO)
    _log.propagate = False


def _is_printed() -> bool:
    return any(isinstance(handler, _Printed) for handler in _log.handlers)


def keep_told(folder: Path) -> None:
    """Append what is told in this process to `told.txt` in the folder of a job, where its earlier attempts also are."""
    _stop_keeping()
    with contextlib.suppress(OSError):
        handler = _Kept(folder / TOLD, encoding="utf-8", errors="backslashreplace")
        handler.setLevel(logging.INFO)
        _log.addHandler(handler)


def _stop_keeping() -> None:
    for handler in [handler for handler in _log.handlers if isinstance(handler, _Kept)]:
        _log.removeHandler(handler)
        with contextlib.suppress(OSError):
            handler.close()


class Told:
    """Reader of what a job tells, from the beginning on, each line once."""

    def __init__(self, folder: Path) -> None:
        self._path, self._position = folder / TOLD, 0

    def lines(self) -> list[str]:
        """The lines that have come since the last call, whole ones alone; none where they cannot be read."""
        try:
            descriptor = open_regular(self._path)
            try:
                data = os.pread(descriptor, _MOST_AT_ONCE, self._position)
            finally:
                os.close(descriptor)
        except (OSError, BadFileError):
            return []
        end = data.rfind(b"\n") + 1 or (len(data) if len(data) == _MOST_AT_ONCE else 0)
        self._position += end
        return data[:end].decode("utf-8", "replace").splitlines()


class _Kept(logging.FileHandler):
    """One line each. A full disk does not end the work: what fails for it is what is saved."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(record.getMessage()).replace("\n", " ")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        pass


class _Printed(logging.Handler):
    """The lines as they are. A terminal that has gone does not end the work."""

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.write(f"{printable(record.getMessage())}\n")
            sys.stdout.flush()
