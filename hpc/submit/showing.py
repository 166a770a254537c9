"""What `snw-dist status` shows: jobs of a folder, or of all runs in it, once or until they end; also as JSON."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console

from hpc.curves import WorkOf
from hpc.errors import INTERRUPTED, CorruptError, InputError, explaining
from hpc.submit.array import watch_jobs
from hpc.submit.as_json import as_plain
from hpc.submit.follow import say, signals_as_interrupt
from hpc.submit.jobs_of_run import jobs_beside, run_folders, shown_of, submitted_jobs
from hpc.submit.live import Joining, by_importance, nobody, room_of
from hpc.submit.look import Looker, lookers
from hpc.submit.submitted import SubmittedJob, load_submitted
from hpc.submit.view import FULL, HEADER, jobs_lines

_JSON_INTERVAL_S = 5.0
_JOIN_S = 10.0


def found_jobs(folder: Path, work_of: WorkOf) -> list[Looker]:
    """The jobs that are shown of a run, or of all runs in a folder: see `jobs_to_show`.

    Raises `InputError` where nothing was submitted, and `CorruptError` where no record of it can be read.
    """
    jobs: list[SubmittedJob] = []
    problems: list[InputError | CorruptError] = []
    for run in run_folders(folder):
        try:
            jobs += submitted_jobs(run)
        except (InputError, CorruptError) as error:
            problems.append(error)
    if not jobs:
        raise problems[0]
    return lookers([job for job, _ in shown_of(jobs)], work_of, jobs)


def show_once(looking: Sequence[Looker], console: Console) -> None:
    """All jobs; those of several runs that have ended in one line each."""
    looks = by_importance([looker.look() for looker in looking])
    one_run = len({look.job.job_folder.parent for look in looks}) == 1
    for line in jobs_lines(looks, room_of(console), rest=FULL if one_run else HEADER):
        console.print(line, soft_wrap=True)
    if not one_run and any(look.state.ended for look in looks):
        say(console, "All of one run: snw-dist status --run NAME")


def found_and_joining(
    folder: Path, work_of: WorkOf, clock: Callable[[], float] = time.monotonic
) -> tuple[list[Looker], Joining]:
    """`found_jobs`, and what finds those that are submitted later, looking every ten seconds; raises as it does."""
    known, looked = _job_folders(folder), clock()
    looking = found_jobs(folder, work_of)
    known |= {looker.job.job_folder for looker in looking}

    def joining() -> list[Looker]:
        nonlocal looked
        if clock() - looked < _JOIN_S:
            return []
        looked, found = clock(), list[Looker]()
        for place in sorted(_job_folders(folder) - known):
            with contextlib.suppress(InputError, CorruptError):  # not submitted yet, or not at all
                job = load_submitted(place)
                known.add(place)
                found += lookers([job], work_of, jobs_beside(job))
        return found

    return looking, joining


def _job_folders(folder: Path) -> set[Path]:
    return {job for run in run_folders(folder) if (run / "jobs").is_dir() for job in (run / "jobs").iterdir()}


def show_and_follow(looking: Sequence[Looker], console: Console, joining: Joining = nobody) -> int:
    """The jobs until all have ended; the exit code that explains most of those that lived, 130 at Ctrl-C.

    Jobs that `joining` finds meanwhile are shown, too.
    """
    living = [looker for looker in looking if not looker.look().state.ended]
    try:
        with signals_as_interrupt():
            states = watch_jobs(living, console, joining=joining) if living else []
    except KeyboardInterrupt:
        named = ", ".join(f"{looker.job.name} ({looker.job.job_id})" for looker in living)
        say(console, f"No longer looking. This ends no job: {named}. Look again: snw-dist status --follow")
        return INTERRUPTED
    show_once(living or looking, console)
    return explaining(state.exit_code or 0 for state in states)


def as_json_lines(looking: Sequence[Looker], follow: bool, joining: Joining = nobody) -> Iterator[str]:
    """One JSON object, or one every five seconds until all jobs have ended, those that `joining` finds, too."""
    looking = list(looking)
    while True:
        looking += joining()
        looks = [looker.look() for looker in looking]
        yield json.dumps(as_plain(looks), allow_nan=False)
        if not follow or all(look.state.ended for look in looks):
            return
        time.sleep(_JSON_INTERVAL_S)
