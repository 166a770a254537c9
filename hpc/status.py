"""What the jobs of a run folder are doing, from any terminal: states, progress, and each rank's speed."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from rich.table import Table
from rich.text import Text

from hpc.errors import CorruptError, InputError, SnwError
from hpc.follow import describe, eta, figures
from hpc.progress import ProgressRecord, read_progress, summarise
from hpc.submitted import RECORD, JobState, SubmittedJob, load_submitted, submission_number

log = logging.getLogger(__name__)


def latest_jobs(folder: Path) -> list[SubmittedJob]:
    """The last submission of every kind of job of a run, oldest first; all tasks of it where it was an array.

    A record that is damaged is named in a warning. Raises `InputError` when nothing was submitted for this run, and
    `CorruptError` when no record of it can be read.
    """
    jobs, problems = [], []
    for job_folder in sorted(_with_record(folder), key=lambda path: (submission_number(path), path.name)):
        try:
            jobs.append(load_submitted(job_folder))
        except SnwError as error:
            problems.append(str(error))
    if not jobs and problems:
        raise CorruptError("\n".join(problems))
    if not jobs:
        raise InputError(f"{folder}: no job was submitted for this run")
    for problem in problems:
        log.warning("%s", problem)
    last = {job.name: _submission(job) for job in jobs}
    return [job for job in jobs if _submission(job) == last[job.name]]


def _with_record(folder: Path) -> list[Path]:
    return [record.parent for record in (folder / "jobs").glob(f"*/{RECORD}")]


def _submission(job: SubmittedJob) -> str:
    """Equal for the tasks of an array, and for nothing else: the number of a local job, a pid, comes again."""
    return job.job_id.partition("_")[0] if job.cluster == "slurm" else job.job_folder.name


def advice(jobs: list[SubmittedJob], states: list[JobState]) -> list[str]:
    """What jobs that wait need, one line for each reason."""
    found = [(state.message, job.advice(state)) for job, state in zip(jobs, states, strict=True)]
    return list({reason: text for reason, text in reversed(found) if text is not None}.values())


def jobs_table(jobs: list[SubmittedJob], states: list[JobState]) -> Table:
    """One line a job and kind of progress."""
    table = Table("job", "id", "state", "progress", "left", "first rank's figures")
    for job, state in zip(jobs, states, strict=True):
        first = (
            job.name,
            f"{job.job_id} ({job.cluster})",
            "done" if state.status == "done" else describe(state, job.num_tasks),
        )
        items = summarise(read_progress(job.progress_folder))
        for item in items:
            share = f"{item.done:,} / {item.total:,} {item.unit}"
            row = (item.kind, share, eta(item), figures(item))
            table.add_row(*map(Text, (*first, f"{row[0]} {row[1]}", row[2], row[3])))
            first = "", "", ""
        if not items:
            table.add_row(*map(Text, (*first, "", "", "")))
    return table


def ranks_table(job: SubmittedJob) -> Table:
    """One line a rank: what it has done, how fast, and when it last said so."""
    records = read_progress(job.progress_folder)
    names = list(dict.fromkeys(name for record in records for name in record.figures))
    table = Table("rank", "kind", "done", "a second", *names, "seen", title=f"{job.name} {job.job_id}")
    for record in records:
        values = (record.figures.get(name) for name in names)
        cells = ["" if value is None else f"{value:.4g}" for value in values]
        done = f"{record.done:,} {record.unit}"
        table.add_row(*map(Text, (str(record.rank), record.kind, done, f"{record.rate:,.4g}", *cells, _ago(record))))
    return table


def _ago(record: ProgressRecord) -> str:
    return f"{max(0.0, time.time() - record.updated):,.0f} s ago"
