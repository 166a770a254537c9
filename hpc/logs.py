"""Logs for people, one format on all ranks; `json_lines` has the metrics for programs."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path

_MARK = "_hpc_logs_handler"
_WARNING = re.compile(r"^\S.*\.py:\d+: \w*Warning: .*\n(?:  .*\n?)?", re.MULTILINE)
"""As Python shows a warning: one line, and below it the line of the source."""


def setup_logging(rank: int, world_size: int, job_folder: Path, verbose: Iterable[str] = ("hpc",)) -> None:
    """Send this rank's log to stderr (rank 0 from INFO, the others from WARNING) and all of it to a file.

    The file is `job_folder/logs/rank_00003.log`; it is appended to, so that a restart keeps what went before.
    The packages in `verbose` are logged there from DEBUG, everything else from INFO. A second call replaces
    the first.
    """
    path = log_file(job_folder, rank)
    path.parent.mkdir(parents=True, exist_ok=True)
    width = max(2, len(str(world_size - 1)))
    formatter = logging.Formatter(
        f"%(asctime)s r{rank:0{width}d} %(levelname)-5s %(name)s: %(message)s", datefmt="%H:%M:%S"
    )
    console = logging.StreamHandler(sys.stderr)
    console.setLevel(logging.INFO if rank == 0 else logging.WARNING)
    file = logging.FileHandler(path, encoding="utf-8")
    root = logging.getLogger()
    _remove_own_handlers(root)
    for handler in (console, file):
        handler.setFormatter(formatter)
        setattr(handler, _MARK, True)
        root.addHandler(handler)
    root.setLevel(logging.INFO)
    for package in verbose:
        logging.getLogger(package).setLevel(logging.DEBUG)
    # submitit prints by itself as well as through the root: every line of it would be there twice.
    logging.getLogger("submitit").handlers.clear()


def log_file(job_folder: Path, rank: int) -> Path:
    """Where all of a rank's log goes."""
    return job_folder / "logs" / f"rank_{rank:05d}.log"


def log_tail(path: Path, most: int = 15) -> list[str]:
    """The last lines of a log that may be very long, without Python's warnings: they are no reason of an end."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 16384))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    return [line for line in _WARNING.sub("", text).splitlines() if line.strip()][-most:]


def _remove_own_handlers(root: logging.Logger) -> None:
    for handler in [h for h in root.handlers if hasattr(h, _MARK)]:
        root.removeHandler(handler)
        handler.close()
