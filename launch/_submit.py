"""Options of the commands that start a job, and what they have in common: submit, follow, exit code."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from hpc.disk.strict import validated
from hpc.job.profile import SiteProfile, load_profile, profile_from
from hpc.job.request import Device, JobRequest
from hpc.shown import console
from launch._allocation import allocation_of, overrides_here, run_here
from snw_dist.config import ClusterSection, SnwConfig, config_to_dict
from snw_dist.extras import require

PROFILES = Path(__file__).resolve().parents[1] / "slurm" / "profiles"

NodesOption = Annotated[int | None, typer.Option("--nodes", metavar="N", help="Overrides cluster.nodes.")]
TasksOption = Annotated[
    int | None, typer.Option("--tasks-per-node", metavar="N", help="Overrides cluster.tasks_per_node.")
]
ClusterOption = Annotated[
    str | None,
    typer.Option(
        "--cluster", metavar="auto|slurm|local|allocation", help="Overrides cluster.cluster; allocation: see slurm/."
    ),
]
ProfileOption = Annotated[str | None, typer.Option("--profile", metavar="NAME", help="Overrides cluster.profile.")]
PartitionOption = Annotated[
    str | None, typer.Option("--partition", metavar="NAME", help="Overrides the partition of the profile.")
]
TimeOption = Annotated[int | None, typer.Option("--time-min", metavar="MIN", help="Overrides cluster.time_min.")]
AllowPrecisionOption = Annotated[
    bool, typer.Option("--allow-precision-change", help="Continue with another precision; the fp32 masters are kept.")
]
AllowChangesOption = Annotated[
    bool, typer.Option("--allow-changes", help="Continue with other settings or data; recorded in metrics.jsonl.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Check everything, print the batch script, and end.")]
DetachOption = Annotated[bool, typer.Option("--detach", help="Return once the job is submitted to Slurm.")]


def cluster_overrides(
    nodes: int | None,
    tasks_per_node: int | None,
    cluster: str | None,
    profile: str | None,
    time_min: int | None,
    array: int | None = None,
) -> dict[str, object]:
    """The options above as dotted configuration keys; in an allocation, what Slurm has given."""
    size: dict[str, object] = {"cluster.nodes": nodes, "cluster.tasks_per_node": tasks_per_node, "cluster.array": array}
    size = overrides_here(size, time_min) if cluster == "allocation" else {**size, "cluster.time_min": time_min}
    return {
        **size,
        "cluster.cluster": cluster,
        "cluster.profile": profile and profile_from(profile, Path.cwd()),
    }


def cluster_section(overrides: dict[str, object]) -> ClusterSection:
    """What `cluster_overrides` has found, for a command without a configuration.

    Raises `InputError` for what cannot be.
    """
    given = {key.removeprefix("cluster."): value for key, value in overrides.items() if value is not None}
    return validated(ClusterSection, given, "command line")


def change_overrides(precision: bool, changes: bool) -> dict[str, object]:
    """What a run that is gone on with may have changed, as dotted configuration keys."""
    return {"train.allow_precision_change": precision or None, "train.allow_changes": changes or None}


def submit_and_follow(
    config: SnwConfig,
    kind: str,
    entry_point: str,
    device: Device,
    partition: str | None,
    detach: bool,
    dry_run: bool = False,
) -> bool:
    """Submit a job, or for embedding an array of `cluster.array`; ends this command where the job fails, with its code.

    True once the job is done, False where it was not followed. With `dry_run` it is only shown, which ends the command.
    """
    num_tasks = config.cluster.array if kind in ("embed", "append") else 1
    if dry_run:
        print(_shown(config, kind, entry_point, device, partition, num_tasks))
        raise typer.Exit(0)
    code = run_all(config, [config] * num_tasks, kind, entry_point, device, partition, detach)
    if code:
        raise typer.Exit(code)
    return code is not None


def run_all(
    config: SnwConfig,
    tasks: Sequence[SnwConfig],
    kind: str,
    entry_point: str,
    device: Device,
    partition: str | None,
    detach: bool = False,
) -> int | None:
    """Run one job for each of `tasks`, as `run_jobs`.

    `config` says where: the cluster, and the run folder that keeps jobs and logs.
    """
    jobs = [(job_name(kind, task), config_to_dict(task)) for task in tasks]
    name = job_name(kind, config)
    return run_jobs(config.cluster, config.run_folder, jobs, name, entry_point, device, partition, detach)


def run_jobs(
    section: ClusterSection,
    folder: Path,
    jobs: Sequence[tuple[str, dict[str, Any]]],
    array_name: str,
    entry_point: str,
    device: Device,
    partition: str | None,
    detach: bool = False,
    beside: bool = False,
) -> int | None:
    """Run jobs, each a name and plain data for the entry point, as an array where there are several.

    Returns the exit code that explains most; None with `detach`, where nothing has ended yet. `folder` keeps jobs and
    logs. Jobs of this name that wait or run are refused, unless these may work `beside` them.
    """
    from hpc.submit.executor import resolve_cluster
    from hpc.submit.jobs_of_run import refuse_waiting

    here = allocation_of(section)
    cluster = "slurm" if section.cluster == "allocation" else resolve_cluster(section.cluster)
    require(*(["submitit"] if cluster == "slurm" and here is None else []))
    profile = _profile(section.profile, partition)
    for name in dict.fromkeys(name for name, _ in jobs) if not beside else ():
        refuse_waiting(folder, name, None if here is None else here.identity.job_id)
    requests = _requests(section, profile, folder, jobs, array_name, entry_point, device)
    if here is not None:
        return run_here(requests, profile, here, partition, detach)
    return _start(requests, profile, cluster, detach and cluster == "slurm")


def _requests(
    section: ClusterSection,
    profile: SiteProfile,
    folder: Path,
    jobs: Sequence[tuple[str, dict[str, Any]]],
    array_name: str,
    entry_point: str,
    device: Device,
) -> list[JobRequest]:
    return [
        JobRequest(
            name=name,
            entry_point=entry_point,
            config=values,
            folder=folder,
            nodes=section.nodes,
            tasks_per_node=section.tasks_per_node or profile.tasks_per_node or 1,
            time_min=section.time_min or profile.time_min or 60,
            device=device,
            array_task=number,
            num_array_tasks=len(jobs),
            array_name=array_name,
        )
        for number, (name, values) in enumerate(jobs)
    ]


def _shown(
    config: SnwConfig, kind: str, entry_point: str, device: Device, partition: str | None, num_tasks: int
) -> str:
    """The batch script of a job; where there is none, what is started."""
    from hpc.submit.executor import resolve_cluster
    from hpc.submit.job_folder import rank_command
    from hpc.submit.sbatch import render_sbatch

    section, name, folder = config.cluster, job_name(kind, config), config.run_folder / "jobs" / "SUBMISSION"
    profile = _profile(section.profile, partition)
    jobs = [(name, config_to_dict(config))] * num_tasks
    request = _requests(section, profile, config.run_folder, jobs, name, entry_point, device)[0]
    command = shlex.join(rank_command(folder))
    if section.cluster == "allocation" or resolve_cluster(section.cluster) == "local":
        return f"No batch script is needed. {request.num_tasks} times: {command}"
    require("submitit")
    return render_sbatch(request, profile, command, folder)


def _start(
    requests: Sequence[JobRequest], profile: SiteProfile, cluster: Literal["slurm", "local"], detach: bool
) -> int | None:
    """Submit, and follow until the end unless `detach`."""
    from hpc.submit.array import run_array
    from hpc.submit.executor import submit, submit_array
    from hpc.submit.follow import follow
    from snw_dist.trained_run.watched import work_of

    if detach:
        for job in submit_array(requests, profile):
            print(f"{job.name}: job {job.job_id}, folder {job.job_folder}")
        return None
    shown = console(160)
    if len(requests) > 1:
        return run_array(requests, profile, cluster, shown, work_of)
    return follow(submit(requests[0], profile, cluster), shown, work_of)


def _profile(name: str | None, partition: str | None) -> SiteProfile:
    """The profile of the site, with the partition of the command line where it has one."""
    profile = load_profile(name, PROFILES)
    return profile if partition is None else dataclasses.replace(profile, partition=partition)


def job_name(kind: str, config: SnwConfig) -> str:
    """What Slurm's queue, `status` and the lines of a command that follows call a job: what it does, for which run."""
    return f"{kind}-{config.run.name}"
