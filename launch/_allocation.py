"""`--cluster allocation`: the job of a command runs in the nodes that its batch script has, and Slurm says which."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpc.errors import InputError
from hpc.shown import console
from snw_dist.config import ClusterSection

if TYPE_CHECKING:
    from hpc.job.profile import SiteProfile
    from hpc.job.request import JobRequest
    from hpc.ranks.topology import Allocation


def overrides_here(given: dict[str, object], time_min: int | None) -> dict[str, object]:
    """The size of the job as dotted configuration keys; `given`: as it was asked for on the command line.

    Raises `InputError` for what is not as Slurm has given it.
    """
    from hpc.ranks.topology import Allocation

    there = _given_by_slurm(Allocation.detect())
    for key, value in {**given, "cluster.time_min": time_min}.items():
        if value not in (None, there.get(key)):
            option = f"--{key.removeprefix('cluster.').replace('_', '-')}"
            raise InputError(f"{option} {value}: the batch script says what this job has. Leave {option} out.")
    return there


def allocation_of(section: ClusterSection) -> Allocation | None:
    """What Slurm has given this batch script; None where jobs are submitted, or run on this machine.

    Raises `InputError` where `overrides_here` was not asked, so that other settings may say another size.
    """
    if section.cluster != "allocation":
        return None
    from hpc.ranks.topology import Allocation

    here = Allocation.detect()
    if any(getattr(section, key.removeprefix("cluster.")) != value for key, value in _given_by_slurm(here).items()):
        raise InputError("cluster.cluster 'allocation' belongs on the command line: --cluster allocation.")
    return here


def queued_again(section: ClusterSection, folder: Path, name: str) -> bool:
    """Whether Slurm has queued this batch script again after it had begun the job `name`, so that all was checked."""
    here = allocation_of(section)
    if here is None:
        return False
    from hpc.submit.allocation import begun_before

    return begun_before(folder, name, here.identity) is not None


def run_here(
    requests: Sequence[JobRequest], profile: SiteProfile, here: Allocation, partition: str | None, detach: bool
) -> int:
    """Run jobs in the allocation of this batch script; the exit code that explains most."""
    from hpc.submit.allocation import run_in_allocation

    for option, given in (("--partition", partition), ("--detach", detach)):
        if given:
            raise InputError(
                f"{option} is for a job that is submitted, and this one runs in its allocation. Leave it out."
            )
    return run_in_allocation(requests, profile, here, console(160))


def _given_by_slurm(here: Allocation) -> dict[str, object]:
    return {
        "cluster.nodes": here.nodes,
        "cluster.tasks_per_node": here.tasks_per_node,
        "cluster.array": here.num_array_tasks,
    }
