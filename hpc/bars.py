"""Bars on a terminal for work that takes long, several below each other where one is a part of another."""

from __future__ import annotations

import threading
from typing import Any, Protocol

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.spinner import Spinner
from rich.table import Column
from rich.text import Text

from hpc.shown import console, printable

REFRESH_S = 0.25
_lock = threading.Lock()
_shown: Progress | None = None


class Shown(Protocol):
    """Work that a bar shows."""

    what: str
    done: int
    total: int
    """0: nobody knows how much it is, and the bar only says that it goes on."""

    def figures(self) -> str:
        """How far it is, in words."""


class _Bar(BarColumn):
    """A full bar would look as if all were done, so what nobody knows the end of has none."""

    def __init__(self) -> None:
        super().__init__(16)
        self._turning = Spinner("line")

    def render(self, task: Task) -> Any:
        return super().render(task) if task.total else self._turning.render(task.get_time())


class _Figures(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(task.fields["work"].figures(), "dim", no_wrap=True)


def begin(work: Shown) -> TaskID:
    """A bar for this work, from now until `end`."""
    global _shown
    with _lock:
        if _shown is None:
            what = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, ratio=1))
            _shown = Progress(what, _Bar(), _Figures(), console=console(120), transient=True, expand=True)
            _shown.start()
        return _shown.add_task(printable(work.what), total=work.total or None, work=work)


def move(bar: TaskID, work: Shown) -> None:
    """Show how far the work is by now."""
    if _shown is not None:
        _shown.update(bar, completed=work.done, total=work.total or None)


def end(bar: TaskID) -> None:
    """Take the bar away; with the last one what is printed goes to the terminal as before."""
    global _shown
    with _lock:
        if _shown is not None:
            _shown.remove_task(bar)
            if not _shown.task_ids:
                _shown.stop()
                _shown = None
