"""What the jobs of a run folder are doing, from any terminal: states, progress, and each rank's speed."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from rich.table import Table
from rich.text import Text

from hpc.errors import CorruptError, EnvironmentProblem, InputError, SnwError
from hpc.progress import ProgressRecord, read_progress, summarise
from hpc.ranks.outcome import has_ended
from hpc.submit.follow import describe, eta, figures
from hpc.submit.schedulers import SILENT
from hpc.submit.submitted import RECORD, JobState, SubmittedJob, load_submitted, submission_number

log = logging.getLogger(__name__)


def jobs_to_show(folder: Path) -> list[tuple[SubmittedJob, JobState]]:
    """What `status` shows of a run: of every kind of job the last submission, and every older one that still lives.

    A job that is refused because another one is running must not hide that one. Those that live come first, the newest
    of them before the others; all tasks of an array. Raises as `submitted_jobs`.
    """
    jobs = submitted_jobs(folder)
    last = {job.name: _submission(job) for job in jobs}
    seen = []
    for job in reversed(jobs):
        is_last = _submission(job) == last[job.name]
        if is_last or not has_ended(job.job_folder, job.num_tasks):
            state = job.poll()
            if is_last or _lives(state):
                seen.append((job, state))
    order = {_submission(job): number for number, (job, _) in enumerate(seen)}
    living = {_submission(job) for job, state in seen if _lives(state)}
    seen.reverse()  # the tasks of an array in their order
    return sorted(seen, key=lambda item: (_submission(item[0]) not in living, order[_submission(item[0])]))


def refuse_waiting(folder: Path, name: str) -> None:
    """Raise `EnvironmentProblem` where a job of this name waits or runs already: a second one would be refused later.

    Records that cannot be read, and jobs of which nothing is known from here, refuse nothing.
    """
    try:
        shown = jobs_to_show(folder)
    except SnwError:
        return
    for job, state in shown:
        if job.name == name and _lives(state):
            cancel = f"scancel {job.job_id}" if job.cluster == "slurm" else f"kill {job.job_id}"
            raise EnvironmentProblem(
                f"{folder}: job {job.job_id} ({job.cluster}) of this run, {name}, is {describe(state, job.num_tasks)}. "
                f"`snw-dist status --folder {folder}` shows what it does. Wait for its end, cancel it "
                f"({cancel}), or choose another folder."
            )


def _lives(state: JobState) -> bool:
    """Known to wait or to run."""
    return not state.ended and state.status != "unknown" and state.message != SILENT


def submitted_jobs(folder: Path) -> list[SubmittedJob]:
    """All jobs of a run that were submitted, oldest first.

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
    return jobs


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
            _in_a_word(state, job.num_tasks),
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


def _in_a_word(state: JobState, num_tasks: int) -> str:
    """The reason of an end has a line of its own, see `failures`."""
    if state.status == "failed":
        return f"failed (exit code {state.exit_code})"
    return "done" if state.status == "done" else describe(state, num_tasks)


def failures(jobs: list[SubmittedJob], states: list[JobState]) -> list[str]:
    """A line for each job that has failed: why."""
    return [
        f"{job.name} {job.job_id}: {state.message}"
        for job, state in zip(jobs, states, strict=True)
        if state.status == "failed"
    ]


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
