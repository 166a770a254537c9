"""How many processors this process may keep busy, and libraries that keep to that.

Libraries start a thread for every processor that they see. Where a control group allows fewer (a login node, a
container) these are stopped by turns, and where others work on the same processors they wait for each other by
spinning: gradient boosting took 58 s with two threads on two shared cores, with one thread 2.3 s, and with two threads
that sleep while they wait 2.0 s. OpenMP reads what it shall do when it is loaded, so that is set before all imports.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from pathlib import Path

_SET_HERE: set[str] = set()


def usable_processors(proc: Path = Path("/proc/self/cgroup"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """The processors that this process is bound to, or fewer where its control groups give it less time."""
    quotas = [quota for path in _group_folders(proc, groups) if (quota := _quota(path)) is not None]
    return max(1, int(min([len(os.sched_getaffinity(0)), *quotas])))


def keep_to_usable_processors(environ: MutableMapping[str, str] = os.environ) -> None:
    """Set the variables of OpenMP, which the libraries for matrices follow too, where the user has set none.

    They are for this process, and not for the jobs that it starts; see `set_here`.
    """
    ours = {"OMP_NUM_THREADS": str(usable_processors()), "OMP_WAIT_POLICY": "PASSIVE"}
    for name, value in ours.items():
        if name not in environ:
            environ[name] = value
            _SET_HERE.add(name)


def set_here() -> frozenset[str]:
    """The variables that hold for this process alone: a job on another node has other processors."""
    return frozenset(_SET_HERE)


def _group_folders(proc: Path, groups: Path) -> list[Path]:
    """The folders of the groups of this process and all around them, of both versions of control groups.

    In a container the path is that of the host, and what is mounted is the group itself, as the root.
    """
    try:
        lines = proc.read_text().splitlines()
    except OSError:
        return []
    folders = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        for name in [controllers, "cpu"] if controllers else [""]:
            group = groups / name / path.lstrip("/")
            folders += [folder for folder in (group, *group.parents) if folder.is_relative_to(groups / name)]
    return folders


def _quota(folder: Path) -> float | None:
    """Processors' worth of time that a group gives; None where it has no limit."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota, period = ((folder / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        return int(quota) / int(period) if quota != "max" and int(quota) > 0 and int(period) > 0 else None
    except (OSError, ValueError):
        return None
