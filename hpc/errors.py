"""Errors that carry an exit code, so that every command ends the same way for the same reason."""

from __future__ import annotations

import enum
from collections.abc import Iterable

INTERRUPTED = 130
"""Exit code of a command that was interrupted, and of one whose job was cancelled."""


class ExitCode(enum.IntEnum):
    """What a command's exit status means."""

    DONE = 0
    BAD_INPUT = 2  #: the user's configuration, arguments or data
    CORRUPT = 3  #: data or a checkpoint is damaged and nothing older verifies
    ENVIRONMENT = 4  #: cluster, device, package or topology
    PREEMPTED = 75  #: state is saved, the job is requeued or can be started again


def explaining(codes: Iterable[int]) -> int:
    """Of the exit codes of several ranks or jobs the one that explains most: what the user can mend, any, preemption.

    0 where all have ended well; a process that a signal has ended (a negative code) counts as 1.
    """
    known = (ExitCode.BAD_INPUT, ExitCode.CORRUPT, ExitCode.ENVIRONMENT)
    failed = [code if code > 0 else 1 for code in codes if code]
    return min(
        failed, key=lambda code: (0 if code in known else 2 if code == ExitCode.PREEMPTED else 1, code), default=0
    )


class SnwError(Exception):
    """An error whose message is meant for the user: one cause, one fix, no traceback."""

    exit_code = ExitCode.BAD_INPUT


class InputError(SnwError):
    """The user's configuration, arguments or data cannot be used (exit 2)."""

    exit_code = ExitCode.BAD_INPUT


class CorruptError(SnwError):
    """Stored data or a checkpoint does not verify and nothing older does (exit 3)."""

    exit_code = ExitCode.CORRUPT


class EnvironmentProblem(SnwError):
    """The cluster, a device or an installed package is not as needed (exit 4)."""

    exit_code = ExitCode.ENVIRONMENT


class Preempted(SnwError):
    """The job was asked to stop; its state is saved (exit 75)."""

    exit_code = ExitCode.PREEMPTED

    def __init__(self, message: str, done: int | None = None) -> None:
        """`done`: units of work that are saved, such as steps (`hpc.ranks.attempts`); None where it came to none."""
        super().__init__(message)
        self.done = done
