"""What `snw-dist status` shows: jobs of a folder, or of all runs in it, once or until they end; also as JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from hpc.curves import WorkOf
from hpc.errors import INTERRUPTED, CorruptError, InputError, explaining
from hpc.submit.array import watch_jobs
from hpc.submit.as_json import as_plain
from hpc.submit.follow import say, signals_as_interrupt
from hpc.submit.jobs_of_run import run_folders, shown_of, submitted_jobs
from hpc.submit.live import by_importance, room_of
from hpc.submit.look import Looker, lookers
from hpc.submit.submitted import SubmittedJob
from hpc.submit.view import FULL, HEADER, jobs_lines

_JSON_INTERVAL_S = 5.0


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


def show_and_follow(looking: Sequence[Looker], console: Console) -> int:
    """The jobs until all have ended; the exit code that explains most of those that lived, 130 at Ctrl-C."""
    living = [looker for looker in looking if not looker.look().state.ended]
    try:
        with signals_as_interrupt():
            states = watch_jobs(living, console) if living else []
    except KeyboardInterrupt:
        named = ", ".join(f"{looker.job.name} ({looker.job.job_id})" for looker in living)
        say(console, f"No longer looking. This ends no job: {named}. Look again: snw-dist status --follow")
        return INTERRUPTED
    show_once(living or looking, console)
    return explaining(state.exit_code or 0 for state in states)


def as_json_lines(looking: Sequence[Looker], follow: bool) -> Iterator[str]:
    """One JSON object, or one every five seconds until all jobs have ended."""
    while True:
        looks = [looker.look() for looker in looking]
        yield json.dumps(as_plain(looks), allow_nan=False)
        if not follow or all(look.state.ended for look in looks):
            return
        time.sleep(_JSON_INTERVAL_S)
