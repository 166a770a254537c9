"""Several jobs that belong together: the tasks of a Slurm job array, or one after another on this machine."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from hpc.curves import WorkOf, nothing_known
from hpc.errors import INTERRUPTED, explaining
from hpc.job.profile import SiteProfile
from hpc.job.request import JobRequest
from hpc.progress import ProgressSummary, add_up, read_progress, summarise
from hpc.submit.executor import submit, submit_array
from hpc.submit.follow import follow, report, say, signals_as_interrupt
from hpc.submit.jobs_of_run import jobs_beside
from hpc.submit.live import Joining, nobody, watch_live
from hpc.submit.look import Looker, lookers
from hpc.submit.submitted import Cluster, JobState, SubmittedJob
from hpc.submit.words import summary_line

_POLL_S = 1.0
_LINE_INTERVAL_S = 10.0


def run_array(
    requests: Sequence[JobRequest], profile: SiteProfile, cluster: Cluster, console: Console, work_of: WorkOf
) -> int:
    """Run all, follow them, and return the exit code that explains most; a failed task does not stop the others."""
    if cluster == "slurm":
        return follow_array(submit_array(requests, profile), console, work_of)
    codes = [follow(submit(request, profile, cluster), console, work_of) for request in requests]
    return explaining(codes)


def follow_array(
    jobs: Sequence[SubmittedJob], console: Console, work_of: WorkOf = nothing_known, poll_s: float = _POLL_S
) -> int:
    """Show the tasks of an array until all have ended; Ctrl-C leaves them alone and returns 130."""
    array = jobs[0].job_id.partition("_")[0]
    named = len(_by_name(jobs)) > 1
    say(console, f"{'' if named else f'{jobs[0].name}: '}{len(jobs)} jobs, array {array} (slurm)")
    for job in jobs if named else []:
        say(console, f"job {job.job_id}: {job.name}")
    try:
        with signals_as_interrupt():
            states = watch_jobs(lookers(jobs, work_of, jobs_beside(jobs[0])), console, poll_s)
    except KeyboardInterrupt:
        say(console, f"No longer following; array {array} goes on. Look: squeue -j {array}; cancel: scancel {array}")
        return INTERRUPTED
    _say_progress(jobs, console)
    codes = []
    for job, state in zip(jobs, states, strict=True):
        if state.status != "done":
            say(console, f"job {job.job_id}, {job.name}:")
        codes.append(report(job, state, console) if state.status != "done" else 0)
    if not any(codes):
        say(console, f"all {len(jobs)} jobs are done")
        return 0
    return explaining(codes)


def progress_of(jobs: Sequence[SubmittedJob]) -> list[ProgressSummary]:
    """Progress of all jobs together, one summary a kind."""
    return add_up(item for job in jobs for item in summarise(read_progress(job.progress_folder)))


def _by_name(jobs: Sequence[SubmittedJob]) -> dict[str, list[SubmittedJob]]:
    """Jobs of one name do parts of the same work; those of other names do other work."""
    found: dict[str, list[SubmittedJob]] = {}
    for job in jobs:
        found.setdefault(job.name, []).append(job)
    return found


def _say_progress(jobs: Sequence[SubmittedJob], console: Console) -> None:
    """One line for each kind of progress, of each name where there are several."""
    groups = _by_name(jobs)
    for name, group in groups.items():
        for item in progress_of(group):
            say(console, f"{f'{name}: ' if len(groups) > 1 else ''}{summary_line(item)}")


def watch_jobs(
    looking: list[Looker], console: Console, poll_s: float = _POLL_S, joining: Joining = nobody
) -> list[JobState]:
    """Show jobs until all have ended: live on a terminal, in lines anywhere else; their states.

    What `joining` finds on the way is appended to `looking`.
    """
    if console.is_terminal:
        with contextlib.suppress(OSError):  # the terminal has gone
            return [look.state for look in watch_live(looking, console, poll_s, joining=joining)]
    return _watch_in_lines(looking, console, poll_s, joining)


def _watch_in_lines(looking: list[Looker], console: Console, poll_s: float, joining: Joining) -> list[JobState]:
    states: dict[Path, JobState] = {}
    shown, printed = "", time.monotonic()
    told: set[str] = set()
    while True:
        looking += joining()
        jobs = [looker.job for looker in looking]
        for job in jobs:
            if job.job_folder not in states or not states[job.job_folder].ended:
                states[job.job_folder] = job.poll()
        counts = Counter(state.status for state in states.values())
        text = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
        if text != shown:
            say(console, text)
            shown = text
        for reason, job in {states[job.job_folder].message: job for job in reversed(jobs)}.items():
            if reason not in told and (advice := job.advice(states[job.job_folder])) is not None:
                told.add(reason or "")
                say(console, advice)
        if all(state.ended for state in states.values()):
            return [states[job.job_folder] for job in jobs]
        if time.monotonic() - printed >= _LINE_INTERVAL_S:
            printed = time.monotonic()
            _say_progress(jobs, console)
        time.sleep(poll_s)
