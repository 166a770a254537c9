"""How far a table is: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hpc.amounts import duration
from hpc.shown import console
from hpc.told import tell

_LINE_INTERVAL_S = 10.0
Done = Callable[[int, int], None]
"""Told the number of rows that are done, and how many of them this run has scored."""


@contextlib.contextmanager
def shown_progress(total: int, what: str = "rows") -> Iterator[Done]:
    """Show rows, or `what` else is counted, rate and time left while the block goes on.

    On standard error, as the output may be the other.
    """
    terminal = console(120, stderr=True)
    if not terminal.is_terminal:
        yield _lines(total, what=what)
        return
    figures = (MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    with Progress(TextColumn(what), BarColumn(), *figures, console=terminal, transient=True) as bar:
        task, rate = bar.add_task(what, total=total, rate=""), _Rate(time.monotonic)
        yield lambda rows, scored: bar.update(task, completed=rows, rate=f"{rate.of(scored):,.0f} {what}/s")


def _lines(total: int, clock: Callable[[], float] = time.monotonic, what: str = "rows") -> Done:
    rate, printed = _Rate(clock), clock()

    def done(rows: int, scored: int) -> None:
        nonlocal printed
        speed = rate.of(scored)
        if speed and clock() - printed >= _LINE_INTERVAL_S:
            tell(f"{rows:,} of {total:,} {what}, {speed:,.0f} {what}/s, {duration((total - rows) / speed)} left")
            printed = clock()

    return done


class _Rate:
    """Of the rows that this run scores; to find those of an earlier run takes no time that counts."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._started = clock, clock()

    def of(self, scored: int) -> float:
        """Rows a second; 0 where none was scored yet."""
        if not scored:
            self._started = self._clock()
            return 0.0
        return scored / max(self._clock() - self._started, 1e-9)
