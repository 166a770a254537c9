"""Before the work: every rank says what it is, all compare, and each problem is one line with its fix.

A job that starts with two versions of a package, with a run folder that one node does not see, or with another
configuration on one rank, would fail later and elsewhere, or worse: end with something else than was asked for.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
import os
import platform
import secrets
import shutil
import subprocess
import sys
import sysconfig
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch

import hpc
from hpc.disk.trusted import weak_spot
from hpc.errors import EnvironmentProblem
from hpc.ranks.communicator import Communicator
from hpc.ranks.topology import JobIdentity, Topology

PACKAGES = ("torch", "deepspeed", "transformers", "zarr", "numpy", "safetensors")
MIN_FREE_GB = 1.0
MAX_CLOCK_SKEW_S = 5.0
SHARED_MEMORY = Path("/dev/shm")
_REPOSITORY = Path(hpc.__file__).resolve().parents[1]
log = logging.getLogger(__name__)


class Check(NamedTuple):
    """What one question was answered with."""

    name: str
    status: Literal["ok", "warning", "problem"]
    text: str
    """What was found and, unless it is well, the fix."""


def check_ranks(
    comm: Communicator,
    topology: Topology,
    device: torch.device,
    folder: Path,
    config: Mapping[str, Any],
    package: str,
) -> list[Check]:
    """Collective: what the ranks of a job must share; the same answers on all ranks.

    `folder` is the job's own, `config` what the ranks were given, `package` whose sources they run beside `hpc`.
    """
    token = comm.broadcast(secrets.token_hex(8))
    comm.on_rank_0(lambda: _leave(folder / f".shared-{token}"))
    facts = comm.gather(_facts(topology, device, folder, token, config, package))
    comm.barrier()
    if comm.rank == 0:
        (folder / f".shared-{token}").unlink()
    requeue = comm.broadcast(_requeue_check(JobIdentity.detect()) if comm.rank == 0 else None)
    return compared(facts) + [Check(*values) for values in requeue]


def _leave(file: Path) -> None:
    try:
        file.touch()
    except OSError as error:
        raise EnvironmentProblem(f"{file.parent}: cannot be written ({error}). Choose another run.folder.") from None


def refuse_problems(checks: Sequence[Check]) -> None:
    """Raise `EnvironmentProblem` with a line for each problem."""
    problems = [f"{check.name}: {check.text}" for check in checks if check.status == "problem"]
    if problems:
        raise EnvironmentProblem("\n".join(problems))


def same_on_all(name: str, seen: Sequence[str], fix: str) -> Check:
    """Whether all ranks, in their order, have seen the same."""
    return _same(name, [(f"rank {rank}", value) for rank, value in enumerate(seen)], fix)


def _facts(
    topology: Topology, device: torch.device, folder: Path, token: str, config: Mapping[str, Any], package: str
) -> dict[str, Any]:
    """What this rank is; plain data."""
    return {
        "rank": f"rank {topology.rank} on {topology.host}",
        "world_size": topology.world_size,
        "host": topology.host,
        "device": device.type,
        "own_device": f"{topology.host} {device}" if device.type == "cuda" else None,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "sources": sources_digest(_REPOSITORY, ("hpc", package)),
        "config": hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:12],
        "sees_folder": (folder / f".shared-{token}").exists(),
        "free_gb": shutil.disk_usage(folder).free / 1e9,
        "clock": time.time(),
        "open_code": [spot for place in _code_folders(package) if (spot := weak_spot(place)) is not None],
    }


def compared(facts: Sequence[Mapping[str, Any]]) -> list[Check]:
    """The answers from the facts of all ranks, in rank order."""

    def same(name: str, key: str, fix: str) -> Check:
        return _same(name, [(fact["rank"], str(fact[key])) for fact in facts], fix)

    hosts = Counter(fact["host"] for fact in facts)
    checks = [
        _world(facts, len(hosts)),
        same("Python", "python", "Activate the same environment on all nodes (`setup` in the site profile)."),
        _same(
            "packages",
            [(fact["rank"], ", ".join(f"{k} {v}" for k, v in fact["packages"].items())) for fact in facts],
            "Install constraints.txt in the environment that all nodes use.",
        ),
        same("sources", "sources", "All nodes must run the same checkout, on a file system that they share."),
        same("configuration", "config", "Submit the job again: the ranks were given different settings."),
        same("device", "device", "Ask for nodes of one kind, or set the device to `cpu` or `cuda`."),
        _one_device_each(facts),
        _shared_folder(facts),
        _free_space(facts),
        _code(facts),
        _clocks(facts),
    ]
    return [check for check in checks if check is not None]


def check_shared_memory(comm: Communicator, topology: Topology, bytes_per_rank: int) -> Check:
    """Collective: whether each node has room for what each of its ranks is to map in its shared memory."""
    usable = os.access(SHARED_MEMORY, os.W_OK | os.X_OK)
    free = shutil.disk_usage(SHARED_MEMORY).free if usable else 0
    fact = {"host": topology.host, "usable": usable, "free": free, "needed": bytes_per_rank}
    return room_to_share(comm.gather(fact))


def room_to_share(facts: Sequence[Mapping[str, Any]]) -> Check:
    """The answer from what all ranks need and see."""
    for host in dict.fromkeys(fact["host"] for fact in facts):
        ranks = [fact for fact in facts if fact["host"] == host]
        needed, free = (sum(fact["needed"] for fact in ranks), min(fact["free"] for fact in ranks))
        if needed and not all(fact["usable"] for fact in ranks):
            text = (
                f"{SHARED_MEMORY} of {host} is missing, or this user may not write to it, but its {len(ranks)} rank(s) "
                f"need {needed / 1e6:.0f} MB there. Mount a tmpfs of mode 1777 (in a container bind the host's)."
            )
            return Check("shared memory", "problem", text)
        if needed > free:
            text = (
                f"{free / 1e6:.0f} MB are free in {SHARED_MEMORY} of {host}, but its {len(ranks)} rank(s) need "
                f"{needed / 1e6:.0f} MB there, {needed / len(ranks) / 1e6:.0f} MB each. Make it larger "
                f"(in a container --shm-size; else mount -o remount,size=... {SHARED_MEMORY}), remove what lies there, "
                "or ask for fewer ranks a node."
            )
            return Check("shared memory", "problem", text)
    least = min(fact["free"] for fact in facts)
    needs = max(fact["needed"] for fact in facts)
    return Check("shared memory", "ok", f"{least / 1e6:.0f} MB free, {needs / 1e6:.0f} MB a rank needed")


def _same(name: str, seen: Sequence[tuple[str, str]], fix: str) -> Check:
    values = Counter(value for _, value in seen)
    usual = values.most_common(1)[0][0]
    others = [f"{who} has {value}" for who, value in seen if value != usual]
    if not others:
        return Check(name, "ok", usual)
    more = f" and {len(others) - 3} more" if len(others) > 3 else ""
    return Check(name, "problem", f"{'; '.join(others[:3])}{more}; the others have {usual}. {fix}")


def _world(facts: Sequence[Mapping[str, Any]], num_hosts: int) -> Check:
    sizes = {fact["world_size"] for fact in facts}
    if sizes != {len(facts)}:
        text = f"{len(facts)} ranks have joined, but they believe to be {sorted(sizes)}. Submit the job again."
        return Check("ranks", "problem", text)
    return Check("ranks", "ok", f"{len(facts)} on {num_hosts} host(s)")


def _one_device_each(facts: Sequence[Mapping[str, Any]]) -> Check | None:
    """NCCL ends with an error of its own, minutes later, where two ranks have one GPU."""
    owned = Counter(fact["own_device"] for fact in facts if fact["own_device"])
    if not owned:
        return None
    shared = [f"{name} has {count} ranks" for name, count in owned.items() if count > 1]
    if shared:
        fix = "Set `tasks_per_node` to the number of GPUs of a node, or ask for more in the site profile."
        return Check("GPUs", "problem", f"{'; '.join(shared[:3])}. {fix}")
    return Check("GPUs", "ok", f"{len(owned)}, one a rank")


def _shared_folder(facts: Sequence[Mapping[str, Any]]) -> Check:
    blind = sorted({fact["host"] for fact in facts if not fact["sees_folder"]})
    if blind:
        text = f"{', '.join(blind[:5])} do not see a file that rank 0 has just made in the run folder. "
        return Check("shared folder", "problem", f"{text}Put run.folder on a file system that all nodes share.")
    return Check("shared folder", "ok", "all ranks see what rank 0 writes")


def _free_space(facts: Sequence[Mapping[str, Any]]) -> Check:
    least = min(facts, key=lambda fact: float(fact["free_gb"]))
    text = f"{least['free_gb']:.1f} GB in the run folder"
    if least["free_gb"] < MIN_FREE_GB:
        return Check("free space", "warning", f"{text} ({least['rank']}). Make room, or choose another run.folder.")
    return Check("free space", "ok", text)


def _code(facts: Sequence[Mapping[str, Any]]) -> Check:
    """The folders of the job are refused when others can write to them; who may install programs is the site's say."""
    spots = list(dict.fromkeys(spot for fact in facts for spot in fact["open_code"]))
    if spots:
        return Check("code", "warning", f"another user could change what this job runs. {' '.join(spots[:3])}")
    return Check("code", "ok", "nobody else can write to it")


def _code_folders(package: str) -> list[Path]:
    """Where the modules of a job come from, and Python itself."""
    return [
        _REPOSITORY / "hpc",
        _REPOSITORY / package,
        Path(sysconfig.get_paths()["purelib"]),
        Path(sys.executable).parent,
    ]


def _clocks(facts: Sequence[Mapping[str, Any]]) -> Check:
    """Nothing depends on them but what people read, so this never stops a job."""
    clocks = [float(fact["clock"]) for fact in facts]
    skew = max(clocks) - min(clocks)
    if skew > MAX_CLOCK_SKEW_S:
        return Check("clocks", "warning", f"{skew:.0f} s apart: times in the logs of different nodes do not compare.")
    return Check("clocks", "ok", f"at most {max(skew, 0.1):.1f} s apart")


def _requeue_check(identity: JobIdentity) -> list[Check]:
    """Whether Slurm would start this job again after a preemption."""
    scontrol = shutil.which("scontrol")
    if identity.job_id is None:
        return []
    if scontrol is None:
        text = "scontrol is not on this node: after a preemption, submit the same command again."
        return [Check("requeue", "warning", text)]
    command = [scontrol, "show", "job", "--oneliner", identity.job_id]
    try:
        shown = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30).stdout
    except subprocess.TimeoutExpired:
        return [Check("requeue", "warning", "not known: the Slurm controller does not answer.")]
    if " Requeue=1 " in shown:
        return [Check("requeue", "ok", "allowed")]
    text = "not allowed for this job (JobRequeue in slurm.conf, or the partition): submit again after a preemption."
    return [Check("requeue", "warning", text)]


def sources_digest(repository: Path, packages: Sequence[str]) -> str:
    """Of all Python files of the packages: twelve hexadecimal digits."""
    digest = hashlib.sha256()
    for package in packages:
        for file in sorted((repository / package).rglob("*.py")):
            digest.update(f"{file.relative_to(repository)}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "missing"
