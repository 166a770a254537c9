"""Jobs on a terminal while they live: one view that is drawn again and again, and goes when all have ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rich.console import Console, Group
from rich.live import Live

from hpc.submit.look import Look, Looker
from hpc.submit.view import Room, jobs_lines

_MOST_POLLS = 20
"""Jobs a second whose state is looked at."""
_ORDER = ("running", "failed", "requeued", "pending", "unknown", "cancelled", "done")

Joining = Callable[[], "list[Looker]"]
"""Asked again and again for jobs that are to be looked at, too."""


def nobody() -> list[Looker]:
    """Where no job can come later."""
    return []


def watch_live(
    looking: list[Looker],
    console: Console,
    poll_s: float,
    above: Callable[[], None] = lambda: None,
    joining: Joining = nobody,
) -> list[Look]:
    """Show the jobs until all have ended; their last looks. `above` prints what is to stay, above the view.

    `joining` finds jobs that came later; they are appended to `looking`. Raises `OSError` where the terminal has gone.
    """
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            looking += joining()
            looks = [looker.look() for looker in looking]
            above()
            live.update(Group(*jobs_lines(by_importance(looks), room_of(console, live=True))), refresh=True)
            if all(look.state.ended for look in looks):
                return looks
            time.sleep(max(poll_s, len(looks) / _MOST_POLLS))


def by_importance(looks: Sequence[Look]) -> list[Look]:
    """What runs, then what has failed, then what waits, then what has ended; otherwise in their order."""
    return sorted(looks, key=lambda look: _ORDER.index(look.state.status))


def room_of(console: Console, live: bool = False) -> Room:
    """The room of a terminal as it is now, with one line for the cursor; all that is wanted anywhere else."""
    if not console.is_terminal:
        return Room(None, plain=console.options.ascii_only)
    height = max(1, console.size.height - 1) if live else None
    return Room(console.size.width, height, console.options.ascii_only)
