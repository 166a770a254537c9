"""What a job that was asked to stop asks of Slurm: who has ended it, when it began, and to be requeued."""

from __future__ import annotations

import logging
import re
import shutil
import signal
import subprocess
import time
from typing import Literal

from hpc.ranks.attempts import LIMIT, PREEMPTED, signal_is_of_limit
from hpc.ranks.communicator import Communicator
from hpc.ranks.preemption import PreemptionGuard
from hpc.ranks.topology import JobIdentity

_SIGNALING_S = 10.0
_SHOW_S = 20.0
log = logging.getLogger(__name__)


def ended_by(
    identity: JobIdentity, comm: Communicator, guard: PreemptionGuard, begun: float, limit_s: float | None
) -> str:
    """Collective: what has asked for the stop, `LIMIT` where it was the time limit alone; see `hpc.ranks.attempts`.

    `begun` is when this attempt began, by the monotonic clock.
    """
    signals = comm.gather(guard.first_signal)
    if all(number is None for number in signals):
        return LIMIT
    if comm.broadcast(comm.rank == 0 and _is_preempted(identity)):
        return PREEMPTED
    if signal.SIGTERM in signals:
        return "asked to stop by SIGTERM: preempted, its node drained, or stopped by hand"
    near = limit_s is not None and signal_is_of_limit(time.monotonic() - begun, limit_s)
    return LIMIT if comm.any(near) else "asked to stop by SIGUSR2, long before its time limit"


def job_begun(identity: JobIdentity, begun: float) -> float:
    """When this attempt of the job began, by the monotonic clock: as Slurm says, or `begun`, when this process did.

    The batch script, `setup` of the profile, and the imports come before a rank can look at a clock. They are a part
    of what a start takes, on a slow file system the greater one, and of the time limit: a job that began its clock
    with its ranks worked on until Slurm killed it, as the signal for its limit had come before anybody listened.
    """
    scontrol = shutil.which("scontrol")
    if identity.job_id is None or scontrol is None:
        return begun
    running_s = _seconds(_shown(scontrol, identity.job_id, "RunTime"))
    return begun if running_s is None else min(begun, time.monotonic() - running_s)


def time_limit_min(identity: JobIdentity) -> float | None:
    """The limit of a job that runs; None where it has none, or Slurm does not say."""
    scontrol = shutil.which("scontrol")
    if identity.job_id is None or scontrol is None:
        return None
    limit_s = _seconds(_shown(scontrol, identity.job_id, "TimeLimit"))
    return None if limit_s is None else limit_s / 60


def _seconds(text: str | None) -> int | None:
    """Of a time as Slurm shows it, `1-02:03:04`; None for a word such as `UNLIMITED`."""
    found = re.fullmatch(r"(?:(\d+)-)?(\d+):(\d+):(\d+)", text or "")
    if found is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def requeue_and_wait(identity: JobIdentity, comm: Communicator, guard: PreemptionGuard, wait_s: float = 600.0) -> bool:
    """Rank 0 asks Slurm to requeue this job, then every rank waits to be ended; True where Slurm has the last word.

    A job that exits by itself inside the partition's GraceTime, with 0 or any other code, is COMPLETED or FAILED and
    never comes back; one that asks for its requeue first does. A job that Slurm is ending already is left to it:
    a requeue of its own (GraceTime 0, `scontrol requeue`) needs no help, and a user's `scancel` must not be undone.
    False where there is no Slurm job, or the requeue was refused.
    """
    seen = guard.num_signals  # before the request: the answer to it may be faster than scontrol's own end
    answer = comm.broadcast(_requeue(identity) if comm.rank == 0 else None)
    end = time.monotonic() + wait_s
    while answer == "accepted" and guard.num_signals == seen and time.monotonic() < end:
        guard.mark_boundary()  # a long wait, but no hang
        time.sleep(0.2)
    return answer != "refused"


def _requeue(identity: JobIdentity) -> Literal["accepted", "refused", "ending"]:
    if identity.job_id is None:
        return "refused"
    scontrol = shutil.which("scontrol")
    if scontrol is None:
        log.error("scontrol is not on this node: submit the same command again to continue from the checkpoint")
        return "refused"
    end = time.monotonic() + _SIGNALING_S
    # A running job is SIGNALING while the SIGCONT of its preemption is on its way: a fast step ends before that.
    while (state := _state(scontrol, identity.job_id)) == "SIGNALING" and time.monotonic() < end:
        time.sleep(0.05)
    if state not in ("RUNNING", "SIGNALING", None):
        log.info("job %s: Slurm is ending it already (cancelled, or requeued from outside)", identity.job_id)
        return "ending"
    done = _run(scontrol, "requeue", identity.job_id)
    if done.returncode != 0:
        log.error("scontrol requeue %s: %s. Submit the same command again.", identity.job_id, done.stderr.strip())
        return "refused"
    log.info("job %s: requeue accepted, waiting to be ended", identity.job_id)
    return "accepted"


def _state(scontrol: str, job_id: str) -> str | None:
    """What Slurm calls the state of the job; None where it does not say."""
    return _shown(scontrol, job_id, "JobState")


def _is_preempted(identity: JobIdentity) -> bool:
    """Slurm says that it is preempting the job."""
    scontrol = shutil.which("scontrol")
    if identity.job_id is None or scontrol is None:
        return False
    return _shown(scontrol, identity.job_id, "PreemptTime") not in (None, "None", "Unknown")


def _shown(scontrol: str, job_id: str, name: str) -> str | None:
    try:
        shown = _run(scontrol, "show", "job", "--oneliner", job_id, timeout_s=_SHOW_S).stdout
    except subprocess.TimeoutExpired:
        return None
    found = re.search(rf" {name}=(\S+)", shown)
    return found[1] if found else None


def _run(*command: str, timeout_s: float | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout_s)
