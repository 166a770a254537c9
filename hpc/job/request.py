"""What is asked for, as plain data: a job, as the launcher says it, and what each of its ranks reads on its node.

No pickle is handed over: the command of a job names a folder, in which the ranks find a file of JSON. It is read only
where no other user can have written or exchanged it (`hpc.disk.trusted`).
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as strict_dataclass

from hpc.disk.home import expanded
from hpc.disk.reading import BadFileError, parse_json
from hpc.disk.strict import validated
from hpc.disk.trusted import read_trusted
from hpc.errors import EnvironmentProblem, InputError
from hpc.job.profile import one_line

Device = Literal["auto", "cpu", "cuda"]
REQUEST = "request.json"
STARTUP_DEADLINE_S = 120.0
_MOST_PAST = 50
_NAME_SHOWS_LATE_S = 60.0  # on file systems that remember for a while that there was no such file


@dataclass(frozen=True)
class JobRequest:
    """What to run, as plain data; raises `InputError` for what cannot be submitted."""

    name: str
    """Becomes the Slurm job name; a task of an array takes it when it starts."""
    entry_point: str
    """`package.module:function`"""
    config: dict[str, Any]
    """Plain data for the entry point, fit for JSON."""
    folder: Path
    """Run folder; the private folder of the job is made below `jobs`, what the ranks print goes to `logs`."""
    nodes: int
    tasks_per_node: int
    time_min: int
    device: Device = "auto"
    array_task: int = 0
    """Which task of a job array this is."""
    num_array_tasks: int = 1
    array_name: str | None = None
    """What the whole array is called in Slurm's queue, where its tasks have names of their own."""

    def __post_init__(self) -> None:
        for name, text in (
            ("job name", self.name),
            ("array name", self.array_name or ""),
            ("entry point", self.entry_point),
            ("folder", str(self.folder)),
        ):
            try:
                one_line(text)
            except ValueError as error:
                raise InputError(f"{name} {text!r}: {error}.") from None
        if not self.name.strip():
            raise InputError("the job name is empty.")
        if any(character in str(self.folder) for character in "%\\"):
            raise InputError(f"{self.folder}: Slurm would replace parts of this name. Use a folder without % and \\.")
        if min(self.nodes, self.tasks_per_node, self.time_min) < 1:
            raise InputError("nodes, tasks_per_node and time_min must be at least 1.")
        try:
            plain = json.loads(json.dumps(self.config, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise InputError(f"the configuration is not plain data: {error}") from None
        object.__setattr__(self, "config", plain)
        object.__setattr__(self, "folder", expanded(self.folder).absolute())

    @property
    def num_tasks(self) -> int:
        """Ranks of the job."""
        return self.nodes * self.tasks_per_node


@strict_dataclass(config=ConfigDict(extra="forbid"), frozen=True)
class RankRequest:
    """What each rank of a job is to do."""

    entry_point: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
    """`package.module:function`"""
    config: dict[str, Any]
    """Plain data for the entry point."""
    job_folder: Annotated[str, Field(min_length=1)]
    """Shared by the ranks, and nobody else may write to it."""
    time_min: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Limit of the job, where it has one."""
    device: Device = "auto"
    startup_deadline_s: float = Field(default=STARTUP_DEADLINE_S, gt=0, allow_inf_nan=False)
    """All ranks have joined by then."""
    mpi: bool = False
    """srun starts the ranks as one MPI job."""
    array_task: int = Field(default=0, ge=0)
    num_array_tasks: int = Field(default=1, ge=1)


def read_request(file: Path, patience_s: float = _NAME_SHOWS_LATE_S) -> RankRequest:
    """The request in a file that only this user can have written.

    Raises `EnvironmentProblem` where another could have, and `InputError` for a file that is no such request.
    """
    end = time.monotonic() + patience_s
    while True:
        try:
            content = parse_json(read_trusted(file), str(file))
            break
        except FileNotFoundError:
            if time.monotonic() > end:
                raise EnvironmentProblem(f"{file}: not there. Is its folder on all nodes?") from None
            time.sleep(0.5)
        except BadFileError as error:
            raise InputError(f"{error}.") from None
        except OSError as error:
            raise EnvironmentProblem(f"{file}: cannot be read ({error.strerror}).") from None
    if not isinstance(content, dict):
        raise InputError(f"{file}: not an object.")
    return validated(RankRequest, content, str(file))


def past_requests(folder: Path) -> list[Path]:
    """The requests of the last jobs of all run folders in `folder`, newest first, 50 at most."""
    return sorted(folder.glob(f"*/jobs/*/{REQUEST}"), key=lambda path: -path.stat().st_mtime)[:_MOST_PAST]
