"""Every stop is the same stop: however a job is asked to, it saves the step it is in, comes back and goes on there.

By default three stops in a row. With `SNW_FAULT_REPEATS=20` as many, in turns, also of a job of `slurm/train.sbatch`.
"""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.slurm.conftest import Cluster, Workplace, exported, rank_pid, steps_done, wait_until

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group("slurm")]
NUM_STOPS = int(os.environ.get("SNW_FAULT_REPEATS", "3"))
STARTED_BY = ("command", "batch script") if NUM_STOPS > 3 else ("command",)
NUM_STEPS = 90 + 30 * NUM_STOPS
WAYS = (
    "urgent job, GraceTime 0",  # SIGTERM and five seconds
    "user signal to one rank",
    "urgent job, user signal",  # preempt_send_user_signal: USR2 in place of SIGTERM
    "urgent job",  # SIGTERM and the GraceTime of 20 s
    "user signal to all ranks",
    "SIGTERM to all ranks",
    "scontrol requeue",
)


@dataclass
class Stops:
    """What became of one run."""

    tried: int
    kept: int
    """Stops after which the run went on from the very step it was stopped at."""
    lost_steps: int
    same_end: bool
    """Losses and weights are those of the undisturbed run, bit for bit."""


def configured(workplace: Workplace, name: str, time_min: int = 5) -> list[str]:
    """A time limit of five minutes, where a launcher may take a stop for a time-out."""
    config = json.loads((workplace.folder / "SNW_config.json").read_text())
    config["train"] |= {"max_steps": NUM_STEPS, "save_every": 50, "validate_every": 10**6}
    config["cluster"] |= {"time_min": time_min}
    (workplace.folder / f"{name}.json").write_text(json.dumps(config))
    return ["--config", f"{name}.json", "--run", name]


def stop(cluster: Cluster, job_id: str, way: str) -> None:
    """Ask the job to stop."""
    if way.startswith("urgent job"):
        grace = "0" if way.endswith("GraceTime 0") else "20"
        cluster.command("scontrol", "update", "PartitionName=normal", f"GraceTime={grace}")
        cluster.set_parameter("SlurmctldParameters", "preempt_send_user_signal" if way.endswith("signal") else None)
        urgent = ["-p", "urgent", "-N4", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 1"]
        cluster.command("sbatch", "--parsable", *urgent)
    elif way == "user signal to one rank":
        os.kill(rank_pid(job_id, 1), signal.SIGUSR2)
    elif way == "scontrol requeue":
        cluster.command("scontrol", "requeue", job_id)
    else:
        cluster.command("scancel", f"--signal={'USR2' if way.startswith('user') else 'TERM'}", job_id)


def started(cluster: Cluster, workplace: Workplace, name: str, started_by: str) -> Callable[[], bool]:
    """Start a run; what is given waits for its end, and says whether that was a good one."""
    if started_by == "command":
        process = workplace.start("train", *configured(workplace, name))
        return lambda: process.wait(timeout=120 + NUM_STEPS) == 0
    asked = ["--nodes=2", "--time=5", "--signal=USR2@20", f"--job-name=train-{name}"]
    job_id = workplace.sbatch("train", asked, *configured(workplace, name))

    def is_done() -> bool:
        state = ("sacct", "-X", "-n", "-P", "-o", "State", "-j", job_id)  # of the last start
        ended = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT")
        wait_until(lambda: cluster.command(*state).startswith(ended), f"the end of {job_id}", 120 + NUM_STEPS)
        return cluster.command(*state) == "COMPLETED"

    return is_done


def stopped_again_and_again(cluster: Cluster, workplace: Workplace, num_stops: int, started_by: str) -> Stops:
    """Stop one run `num_stops` times, each time soon after it has gone on; compare it with the one left in peace."""
    lost: list[int] = []
    name = f"stopped-{started_by.replace(' ', '-')}"
    run, begun = workplace.run_folder(name), 0
    is_done = started(cluster, workplace, name, started_by)
    for number in range(num_stops):
        wait_until(lambda begun=begun: steps_done(run) >= begun + 3, "three more steps", 120)
        job_id = cluster.command("squeue", "-h", "-o", "%i", f"--name=train-{name}")
        num_resumed = len(resumed_at(run))
        stop(cluster, job_id, WAYS[number % len(WAYS)])
        done = done_before_resume(run, num_resumed)
        begun = resumed_at(run)[num_resumed]
        lost.append(done - begun)
    assert is_done()
    return Stops(num_stops, lost.count(0), sum(map(abs, lost)), ends_in_peace(workplace, name))


def done_before_resume(run: Path, num_resumed: int) -> int:
    """Steps done when the run has gone on more than `num_resumed` times, by its log, and just before.

    Slurm is not asked: it counts a restart when it is ordered, while the ranks may still step and save.
    """
    before, end = 0, time.monotonic() + 120
    while time.monotonic() < end:
        done = steps_done(run)
        if len(resumed_at(run)) > num_resumed:
            return before
        before = done
        time.sleep(0.1)
    raise AssertionError("the run did not go on")


def ends_in_peace(workplace: Workplace, name: str) -> bool:
    """Losses and weights are those of the run `in-peace`, bit for bit."""
    weights = [exported(workplace.run_folder(run)) for run in (name, "in-peace")]
    return workplace.losses(name) == workplace.losses("in-peace") and weights[0] == weights[1]


def resumed_at(run: Path) -> list[int]:
    """The steps at which a run has gone on."""
    text = "\n".join(file.read_text() for file in sorted((run / "logs").glob("*_0_log.err")))
    return [int(step) for step in re.findall(r"resuming at step (\d+)", text)]


@pytest.fixture(scope="module", autouse=True)
def in_peace(workplace: Workplace) -> None:
    """A run of as many steps that nobody stops."""
    workplace.run("train", *configured(workplace, "in-peace", 60), timeout_s=60 + NUM_STEPS)


@pytest.fixture
def as_before(cluster: Cluster) -> Iterator[None]:
    """The settings of the cluster are put back."""
    yield
    cluster.command("scontrol", "update", "PartitionName=normal", "GraceTime=20")
    cluster.set_parameter("SlurmctldParameters", None)


@pytest.mark.timeout(300 + 60 * NUM_STOPS)
@pytest.mark.usefixtures("as_before")
@pytest.mark.parametrize("started_by", STARTED_BY)
def test_no_step_is_lost_and_the_end_is_the_same(
    cluster: Cluster, workplace: Workplace, record_property: Callable[[str, object], None], started_by: str
) -> None:
    found = stopped_again_and_again(cluster, workplace, NUM_STOPS, started_by)
    record_property("tried", found.tried)
    record_property("lost_steps", found.lost_steps)
    assert found == Stops(NUM_STOPS, NUM_STOPS, 0, True)


@pytest.mark.timeout(300 + 60 * NUM_STOPS)
def test_a_failed_node_costs_less_than_a_save_interval(cluster: Cluster, workplace: Workplace) -> None:
    """There is no stop request: the ranks are killed, and the job is requeued by Slurm."""
    run = workplace.run_folder("node-failed")
    process = workplace.start("train", *configured(workplace, "node-failed"))
    wait_until(lambda: steps_done(run) >= 60, "60 steps", 120)
    job_id, nodes = cluster.command("squeue", "-h", "-o", "%i %N", "--name=train-node-failed").split()
    node = cluster.command("scontrol", "show", "hostnames", nodes).split()[-1]
    cluster.command("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")
    cluster.wait_for_restart(job_id, 1)
    done = steps_done(run)
    cluster.command("scontrol", "update", f"NodeName={node}", "State=RESUME", check=False)
    assert process.wait(timeout=120 + NUM_STEPS) == 0
    assert done - resumed_at(run)[-1] <= 50 + 2
    assert ends_in_peace(workplace, "node-failed")
