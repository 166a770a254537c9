"""Runs the tasks of a job on this machine: started by the launcher as `python -m hpc.submit.local_tasks FOLDER`.

It replaces the controller of submitit's local executor, whose variables and log names it keeps, in order to do what
Slurm does: a task that fails takes the others with it, a signal reaches every task, the exit codes are kept, and no
task outlives the process that runs it. (submitit's own controller dies of USR2 and leaves its tasks behind; on Ctrl-C
it kills them after a second.)
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from hpc.errors import ExitCode, explaining

EXIT_CODES = "exit_codes.json"
_PRCTL = ctypes.CDLL(None).prctl
_SET_PARENT_DEATH_SIGNAL = 1
_POLL_S = 0.05
_TERMINATE_AFTER_S = 3.0
_REMIND_S = 2.0
_KILL_AFTER_S = 30.0
_PREEMPTED_S = 120.0


class LocalTasks:
    """The tasks of one job, as child processes in the process group of this one."""

    def __init__(self, folder: Path, command: Sequence[str], num_tasks: int) -> None:
        self._folder = folder
        self._stopping = False
        self._processes: list[subprocess.Popen[bytes]] = []
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2):
            signal.signal(number, self._forward)
        for rank in range(num_tasks):
            self._processes.append(self._start(command, rank))
            if self._stopping:  # the signal came before this task was there to get it
                self._processes[-1].send_signal(signal.SIGTERM)

    def run(self) -> list[int]:
        """Wait for all tasks; returns their exit codes (negative: ended by that signal)."""
        self._wait(None)
        if any(process.poll() is None for process in self._processes):
            self._end_the_others()
        codes = [process.wait() for process in self._processes]
        partial = self._folder / f"{EXIT_CODES}.tmp"
        try:
            partial.write_text(json.dumps(codes))
            partial.replace(self._folder / EXIT_CODES)
        except OSError as error:  # a full disk is why jobs end: the exit code of this process still says so
            with contextlib.suppress(OSError):  # the log is on that disk
                sys.stderr.write(f"{EXIT_CODES} could not be written: {error}\n")
        return codes

    def _start(self, command: Sequence[str], rank: int) -> subprocess.Popen[bytes]:
        """Start one task, with its number in the variables and its output in the files that submitit uses."""
        job_id = str(os.getpid())
        environment = os.environ | {
            "SUBMITIT_LOCAL_JOB_ID": job_id,
            "SUBMITIT_LOCAL_GLOBALID": str(rank),
            "SUBMITIT_LOCAL_LOCALID": str(rank),
        }
        prefix = self._folder / f"{job_id}_{rank}_log"
        with prefix.with_suffix(".out").open("ab") as output, prefix.with_suffix(".err").open("ab") as errors:
            return subprocess.Popen(
                list(command),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                preexec_fn=functools.partial(_end_with, os.getpid()),
            )

    def _wait(self, limit_s: float | None) -> None:
        """Return when no task runs, when one has failed (without `limit_s`), or after `limit_s`."""
        end = None if limit_s is None else time.monotonic() + limit_s
        while True:
            codes = [process.poll() for process in self._processes]
            if None not in codes:
                return
            if end is None and (any(codes) or self._stopping):
                return
            if end is not None and time.monotonic() >= end:
                return
            time.sleep(_POLL_S)

    def _end_the_others(self) -> None:
        """Give the remaining tasks time to end by themselves, then ask them, then kill them."""
        preempted = self._stopping or any(p.poll() == ExitCode.PREEMPTED for p in self._processes)
        end = time.monotonic() + (_PREEMPTED_S if preempted else _TERMINATE_AFTER_S)
        while time.monotonic() < end and any(process.poll() is None for process in self._processes):
            self._wait(_REMIND_S)
            if self._stopping:  # a task that is still starting has not listened to the first signal
                self._send(signal.SIGTERM)
        self._send(signal.SIGTERM)
        self._wait(_KILL_AFTER_S)
        self._send(signal.SIGKILL)

    def _forward(self, number: int, frame: FrameType | None) -> None:
        """USR2 goes on as it is; SIGTERM, SIGHUP and Ctrl-C ask every task to save and end."""
        if number != signal.SIGUSR2:
            self._stopping = True
        self._send(signal.SIGUSR2 if number == signal.SIGUSR2 else signal.SIGTERM)

    def _send(self, number: signal.Signals) -> None:
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)


def _end_with(controller: int) -> None:
    """In a task before it begins: when the controller is killed, the kernel asks the task to save and end.

    Its watchdog (`hpc.ranks.watcher`) asks again, as some libraries listen to no signal while they start.
    """
    _PRCTL(_SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)
    if os.getppid() != controller:  # it was killed before that
        os._exit(1)


def main() -> int:
    """Start and wait, as the variables of submitit's local executor say."""
    command = shlex.split(os.environ["SUBMITIT_LOCAL_COMMAND"])
    tasks = LocalTasks(Path(sys.argv[1]), command, int(os.environ["SUBMITIT_LOCAL_NTASKS"]))
    return explaining(tasks.run())


if __name__ == "__main__":
    sys.exit(main())
