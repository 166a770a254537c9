"""Following a job until it ends: the live view on a terminal, sparse lines anywhere else; signals and exit code."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import FrameType

from rich.console import Console

from hpc.curves import WorkOf, nothing_known
from hpc.errors import INTERRUPTED, ExitCode
from hpc.progress import ProgressSummary, read_progress, summarise
from hpc.shown import printable
from hpc.submit.jobs_of_run import jobs_beside
from hpc.submit.live import watch_live
from hpc.submit.look import UNSEEN, attempts_before, end_of_failed, lookers
from hpc.submit.submitted import JobState, SubmittedJob
from hpc.submit.words import describe, summary_line
from hpc.told import Told

_POLL_S = 0.5
_LINE_INTERVAL_S = 10.0
_INTERRUPTS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def follow(job: SubmittedJob, console: Console, work_of: WorkOf = nothing_known, poll_s: float = _POLL_S) -> int:
    """Show the job until it ends and return its exit code; `work_of` says what else than its own folder is shown.

    Ctrl-C, SIGTERM or a closed terminal leaves a Slurm job alone, says how to find and how to cancel it, and
    returns 130; the tasks of a local job are asked to save and end, and a second Ctrl-C kills them.
    """
    say(console, f"{job.name}: job {job.job_id} ({job.cluster}), folder {job.job_folder}")
    told = Told(job.progress_folder)
    try:
        with signals_as_interrupt():
            state = _watch(job, work_of, told, console, poll_s)
    except KeyboardInterrupt:
        if job.cluster == "slurm":
            say(
                console,
                f"No longer following; job {job.job_id} goes on. Look: squeue -j {job.job_id}; "
                f"logs: {job.log_path(0)}; cancel: scancel {job.job_id}",
            )
            return INTERRUPTED
        state = _end_local(job, console, poll_s)
        _say_told(told, console)
    return report(job, state, console)


def say(console: Console, text: str) -> None:
    """A line as it is: brackets in a path are no markup. Without a terminal left to show it, the job goes on."""
    with contextlib.suppress(OSError):
        console.print(printable(text), markup=False, highlight=False, soft_wrap=True)


def _watch(job: SubmittedJob, work_of: WorkOf, told: Told, console: Console, poll_s: float) -> JobState:
    if console.is_terminal:
        with contextlib.suppress(OSError):  # the terminal has gone, and who started this wants it to go on
            [look] = watch_live(
                lookers([job], work_of, jobs_beside(job)), console, poll_s, lambda: _say_told(told, console)
            )
            _say_told(told, console)
            _print_progress(job, console)
            return look.state
    return _watch_in_lines(job, told, console, poll_s)


def _watch_in_lines(
    job: SubmittedJob, told: Told, console: Console, poll_s: float, clock: Callable[[], float] = time.monotonic
) -> JobState:
    """One line when the state changes, and one at most every ten seconds while something moves."""
    shown, printed, progress, attempts_said = "", clock(), "", 0
    advised: set[str] = set()
    while not (state := job.poll()).ended:
        text = describe(state, job.num_tasks)
        if text != shown:
            for restart in attempts_before(job, state.attempt)[attempts_said:]:
                attempts_said += 1
                if restart.why != UNSEEN:  # Slurm's own word says it better
                    say(console, f"attempt {restart.attempt} has ended: {restart.why}")
            say(console, text)
            shown = text
        _say_told(told, console)
        tell_once(job.advice(state), advised, console)
        if clock() - printed >= _LINE_INTERVAL_S:
            line = "; ".join(map(summary_line, _progress(job)))
            if line and line != progress:
                say(console, line)
            progress, printed = line, clock()
        time.sleep(poll_s)
    _say_told(told, console)
    _print_progress(job, console)
    return state


def _say_told(told: Told, console: Console) -> None:
    """What the job itself has told since the last time, above its bars."""
    for line in told.lines():
        say(console, line)


def tell_once(advice: str | None, advised: set[str], console: Console) -> None:
    """Say what a job that waits needs, unless that is among what was said."""
    if advice is not None and advice not in advised:
        advised.add(advice)
        say(console, advice)


def _print_progress(job: SubmittedJob, console: Console) -> None:
    """How far a job that has ended has come: there is no time left."""
    for item in _progress(job):
        say(console, summary_line(replace(item, eta_s=None)))


def _progress(job: SubmittedJob) -> list[ProgressSummary]:
    return summarise(read_progress(job.progress_folder))


def _end_local(job: SubmittedJob, console: Console, poll_s: float) -> JobState:
    """Ask the tasks to save and end; at a second Ctrl-C kill them."""
    say(console, "Stopping: the tasks save their state and end. Ctrl-C again kills them.")
    try:
        with signals_as_interrupt():
            job.stop()
            while not (state := job.poll()).ended:
                time.sleep(poll_s)
    except KeyboardInterrupt:
        job.kill()
        while not (state := job.poll()).ended:
            time.sleep(poll_s)
    if state.exit_code in (ExitCode.DONE, ExitCode.PREEMPTED):
        return state
    return JobState("failed", INTERRUPTED, "stopped by the user", state.attempt)


def report(job: SubmittedJob, state: JobState, console: Console) -> int:
    """Say how a job has ended, with the log of a rank that ended by a defect; returns its exit code."""
    code = int(state.exit_code if state.exit_code is not None else 1)
    if state.status == "done":
        say(console, "done")
    elif state.status == "cancelled":
        say(console, f"cancelled (exit code {code}) {state.message}")
    elif code == ExitCode.PREEMPTED:
        say(console, f"stopped (exit code {code}): {state.message}. The same command goes on from there.")
    else:
        say(console, f"failed (exit code {code}): {state.message}")
        if (end := end_of_failed(job)) is not None:
            say(console, "\n".join([f"last lines of rank {end.rank}, {end.file}:", *end.lines]))
    return code


@contextlib.contextmanager
def signals_as_interrupt() -> Iterator[None]:
    """Let SIGTERM and a closed terminal count like Ctrl-C, so that no task is left behind.

    One of them that is ignored stays ignored: `nohup` asks for that, and so does a shell for what runs behind it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    heard = [number for number in _INTERRUPTS if signal.getsignal(number) != signal.SIG_IGN]
    previous = {number: signal.signal(number, interrupt) for number in heard}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
