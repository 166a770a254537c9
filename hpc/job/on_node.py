"""The command of every submitted job: `python -m hpc.job.on_node FOLDER`; runs as one rank.

`FOLDER` holds the request of the job. The tasks of a Slurm job array share one command: the request of task N is in
`FOLDER_N`, with five digits.
"""

from __future__ import annotations

import logging
import signal
import sys
from pathlib import Path
from types import FrameType

from hpc.errors import EnvironmentProblem
from hpc.job.request import REQUEST
from hpc.ranks.topology import JobIdentity

log = logging.getLogger(__name__)


def task_folder(folder: Path, task: int | None) -> Path:
    """The folder of a task of an array whose command names `folder`; None: the job is no array."""
    return folder if task is None else folder.with_name(f"{folder.name}_{task:05d}")


def _not_yet(number: int, frame: FrameType | None) -> None:
    log.warning("%s while starting or ending: ignored", signal.Signals(number).name)


def main(arguments: list[str]) -> None:
    """Find the request of this task and run it; ends the process."""
    # Slurm or the launcher may ask for a stop before the guard of the job is there, or after it has gone.
    for number in (signal.SIGUSR2, signal.SIGTERM):
        signal.signal(number, _not_yet)
    from hpc.job.run import run_request  # imports torch, which takes seconds

    try:
        task = JobIdentity.detect().array_task
    except EnvironmentProblem:  # said again, and noted, by the job itself
        task = None
    run_request(task_folder(Path(arguments[0]), task) / REQUEST)


if __name__ == "__main__":
    main(sys.argv[1:])
