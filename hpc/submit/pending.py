"""What Slurm's reasons for a job that waits mean: which end by themselves, and what to do about those that do not.

The reasons are those of Slurm's page "Job Reason Codes". Most of them end: `Priority`, `Resources`, `BeginTime`, a
dependency, a limit on what runs at the same time. A job with one of the others would wait for ever.
"""

from __future__ import annotations

import re

_NEVER = "as it was asked for, the job never starts"
_WAITS = "the job waits until somebody acts"
_ASK = "ask the administrators of the cluster"
# The first pattern that fits counts. A reason may have more behind it: `ReqNodeNotAvail,_UnavailableNodes:n1`.
_MEANINGS: tuple[tuple[str, str, str], ...] = (
    (
        "PartitionTimeLimit",
        f"{_NEVER}: its time limit is longer than the partition's",
        "lower --time-min (or cluster.time_min), or take another --partition (`sinfo -o '%P %l'` lists their limits)",
    ),
    (
        "PartitionNodeLimit",
        f"{_NEVER}: the partition does not give so many nodes to a job, or has not so many that are up",
        "lower --nodes, or take another --partition (`sinfo -o '%P %D %a %T'` lists them)",
    ),
    (
        "PartitionConfig",
        f"{_NEVER}: it asks for more nodes, processors, memory or time than the partition has",
        "compare the profile with `scontrol show partition`, lower --nodes, or take another --partition",
    ),
    (
        "BadConstraints",
        f"{_NEVER}: no node has what is asked for",
        "look at constraint, gpus_per_node, cpus_per_task, mem_gb_per_node in the profile; `sinfo -o '%f %G %c %m'` "
        "says what nodes have",
    ),
    (
        "PartitionDown|PartitionInactive",
        f"{_WAITS}: the partition is closed",
        f"take another --partition (`sinfo -s`), or {_ASK}",
    ),
    (
        "InvalidAccount|AccountNotAllowed",
        f"{_NEVER}: the account is none that you may use there",
        "set account in the profile to one of `sacctmgr show assoc user=$USER format=account,partition,qos`",
    ),
    (
        "InvalidQOS|QOSNotAllowed",
        f"{_NEVER}: the quality of service is none that you may use there",
        "set qos in the profile to one of `sacctmgr show assoc user=$USER format=account,partition,qos`",
    ),
    (
        r"(Assoc|QOS)MaxWall\w*|AssociationTimeLimit|QOSTimeLimit",
        f"{_NEVER}: its time limit is longer than your account or quality of service allows",
        "lower --time-min (or cluster.time_min)",
    ),
    (
        r"(Assoc|QOS)Max\w*Per(Job|Node)(Limit)?|MaxMemPerLimit",
        f"{_NEVER}: it asks for more than your account or quality of service allows for one job",
        "ask for less (--nodes, --time-min, or the profile), or take another qos in the profile",
    ),
    (
        r"QOSMin\w*",
        f"{_NEVER}: it asks for less than the quality of service demands",
        "ask for more, or take another qos in the profile",
    ),
    (
        r"(Assoc|QOS)Max(?!Jobs|Submit)\w*Per(User|Account)\w*|Max(?!Jobs|Submit)\w*PerAccount",
        "the job starts when other jobs of yours or of your account have ended, unless it asks for more than all of "
        "them together may have: then it never starts",
        "if nothing of yours is running (`squeue -u $USER`), ask for less, or take another qos in the profile",
    ),
    (
        r"(Assoc|QOS)Grp(?!\w*Run)\w*Min\w*|QOSUsageThreshold",
        f"{_WAITS}: what the account or quality of service may use in all is used up",
        f"take another account or qos in the profile, or {_ASK}",
    ),
    (
        r"(Assoc|QOS)Grp(?!Jobs|Submit)\w*|AccountingPolicy|AssociationResourceLimit|QOSResourceLimit",
        "the job starts when other jobs of your account or quality of service have ended, unless it asks for more than "
        "all of them together may have: then it never starts",
        "if nothing of them is running (`squeue -A ACCOUNT`), ask for less, or take another account or qos in the "
        "profile",
    ),
    (
        "JobHeldUser",
        f"{_WAITS}: it is held, by you or by a coordinator of your account",
        "`scontrol release JOB` lets it start",
    ),
    ("JobHeldAdmin", f"{_WAITS}: an administrator holds it", _ASK),
    (
        r"JobHoldMaxRequeue|job_requeued_in_held_state|.*requeued_held",
        f"{_WAITS}: Slurm has queued it again so often, or failed to start it, that it holds it",
        "look into the logs of the job, then `scontrol release JOB`",
    ),
    (
        "JobLaunchFailure|SystemFailure|BurstBufferOperation",
        f"{_WAITS}: Slurm could not start it",
        f"`scontrol release JOB` tries again; if that fails too, {_ASK}",
    ),
    (
        "DependencyNeverSatisfied",
        f"{_NEVER}: what it depends on has ended otherwise",
        "look at dependency in additional_parameters of the profile, and submit again",
    ),
    (
        "DeadLine",
        f"{_NEVER}: it cannot end before its deadline",
        "look at deadline among additional_parameters of the profile",
    ),
    (
        "ReservationDeleted",
        f"{_NEVER}: its reservation is no more",
        "take reservation out of the profile, or one of `scontrol show reservation`",
    ),
    (
        r"ReqNodeNotAvail\b.*Unavailable(Nodes)?:\w.*|NodeDown|Nodes_required_for_job_are_DOWN.*",
        "nodes that the job needs are down, drained or reserved; it starts when they are back",
        f"`sinfo -R` says why they are away; ask for fewer nodes or another --partition, or {_ASK}",
    ),
    (
        r"ReqNodeNotAvail.*",
        "nodes that the job needs are reserved, often for maintenance; it starts when that has ended",
        "`scontrol show reservation` says when; a lower --time-min may let it end before",
    ),
)

_PLAIN = {
    "Resources": "no free nodes yet",
    "Priority": "more urgent jobs are before it",
    "BeginTime": "its time to start has not come yet",
    "Dependency": "another job must end first",
    "Licenses": "no free license yet",
    "Reservation": "its reservation has not begun yet",
    "Prolog": "its nodes are being prepared",
    "Cleaning": "what is left of its last attempt is being ended",
}


def plainly(reason: str) -> str:
    """A reason that ends by itself in words, with its name for who looks it up; any other as it is."""
    words = _PLAIN.get(reason)
    return f"{words} ({reason})" if words else reason


def meaning(reason: str, job_id: str) -> str | None:
    """What the reason of a pending job means and what to do; None where the job starts by itself, or it is unknown."""
    name = reason.strip().strip("():").replace(" ", "_")
    for pattern, means, fix in _MEANINGS:
        if re.fullmatch(f"(?:{pattern})(?:,.*)?", name):
            text = f"{name}: {means}. What to do: {fix.replace('JOB', job_id)}."
            return f"{text} To give up: scancel {job_id}."
    return None
