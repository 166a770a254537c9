"""The jobs of a run folder: all, those that are shown, and those beside which a second submission is refused."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Sequence
from pathlib import Path

from hpc.errors import CorruptError, EnvironmentProblem, InputError, SnwError
from hpc.ranks.outcome import has_ended
from hpc.submit.schedulers import SILENT, SlurmQueue
from hpc.submit.submitted import RECORD, JobState, SubmittedJob, load_submitted, submission_number
from hpc.submit.words import describe

log = logging.getLogger(__name__)


def jobs_to_show(folder: Path) -> list[tuple[SubmittedJob, JobState]]:
    """What `status` shows of a run: of every kind of job the last submission, and every older one that still lives.

    A job that is refused because another one is running must not hide that one. Those that live come first, the newest
    of them before the others; all tasks of an array. Raises as `submitted_jobs`.
    """
    return shown_of(submitted_jobs(folder))


def shown_of(jobs: Sequence[SubmittedJob]) -> list[tuple[SubmittedJob, JobState]]:
    """`jobs_to_show` of these, the oldest first; Slurm is asked once for all of them."""
    last = {_kind(job): _submission(job) for job in jobs}
    asked = [job for job in jobs if _is_last(job, last) or not has_ended(job.job_folder, job.num_tasks)]
    queue = SlurmQueue(",".join(dict.fromkeys(_submission(job) for job in asked if job.cluster == "slurm")))
    seen = []
    for job in reversed(asked):
        job.ask_through(queue)
        state = job.poll()
        if _is_last(job, last) or _lives(state):
            seen.append((job, state))
    order = {_submission(job): number for number, (job, _) in enumerate(seen)}
    living = {_submission(job) for job, state in seen if _lives(state)}
    seen.reverse()  # the tasks of an array in their order
    return sorted(seen, key=lambda item: (_submission(item[0]) not in living, order[_submission(item[0])]))


def run_folders(folder: Path) -> list[Path]:
    """The folder itself where jobs were submitted for it, else those in it for which some were, by name."""
    if (folder / "jobs").is_dir() or not folder.is_dir():
        return [folder]
    return sorted(run for run in folder.iterdir() if (run / "jobs").is_dir()) or [folder]


def refuse_waiting(folder: Path, name: str, own: str | None = None) -> None:
    """Raise `EnvironmentProblem` where a job of this name waits or runs already: a second one would be refused later.

    `own`: Slurm's id of the job that asks. It does not refuse itself, nor the other tasks of its array.
    Records that cannot be read, and jobs of which nothing is known from here, refuse nothing.
    """
    try:
        shown = jobs_to_show(folder)
    except SnwError:
        return
    for job, state in shown:
        if job.name == name and _lives(state) and (own is None or _submission(job) != own.partition("_")[0]):
            cancel = f"scancel {job.job_id}" if job.cluster == "slurm" else f"kill {job.job_id}"
            look = f"snw-dist status --folder {shlex.quote(str(folder))}"
            raise EnvironmentProblem(
                f"{folder}: job {job.job_id} ({job.cluster}) of this run, {name}, is {describe(state, job.num_tasks)}. "
                f"`{look}` shows what it does. Wait for its end, cancel it ({cancel}), or choose another folder."
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
        beside = [run.name for run in run_folders(folder.parent) if run.parent == folder.parent]
        others = f". Runs there are: {', '.join(beside)}" if beside and not folder.exists() else ""
        raise InputError(f"{folder}: no job was submitted for this run{others}")
    for problem in problems:
        log.warning("%s", problem)
    return jobs


def jobs_beside(job: SubmittedJob) -> list[SubmittedJob]:
    """The jobs of the same run that can be read, oldest first."""
    try:
        return submitted_jobs(job.job_folder.parent.parent)
    except SnwError:
        return []


def _kind(job: SubmittedJob) -> tuple[Path, str]:
    """Equal for jobs of one run that do the same."""
    return job.job_folder.parent, job.name


def _is_last(job: SubmittedJob, last: dict[tuple[Path, str], str]) -> bool:
    return _submission(job) == last[_kind(job)]


def _with_record(folder: Path) -> list[Path]:
    return [record.parent for record in (folder / "jobs").glob(f"*/{RECORD}")]


def _submission(job: SubmittedJob) -> str:
    """Equal for the tasks of an array, and for nothing else: the number of a local job, a pid, comes again."""
    return job.job_id.partition("_")[0] if job.cluster == "slurm" else job.job_folder.name
