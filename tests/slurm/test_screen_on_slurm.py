"""A screen on a real Slurm: an array with a task that is killed and one that is requeued gives the bytes of one job."""

from __future__ import annotations

import os
import signal

import pytest

from tests.kit.screen_tools import result_of
from tests.slurm.conftest import Cluster, Workplace, made, rank_pid, screen_options, wait_until

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group("slurm"), pytest.mark.timeout(600)]


def test_an_array_with_a_killed_and_a_requeued_task_gives_the_same_bytes(cluster: Cluster, screened: Workplace) -> None:
    """The task that was killed has failed; the two others do its work, too."""
    process = screened.start(
        "screen", *screen_options("array"), "--cluster", "slurm", "--array", "3", "--time-min", "10"
    )
    folder = screened.folder / "array"
    wait_until(lambda: made(folder, "block_*.safetensors") >= 6, "six blocks of vectors", 120)
    ids = cluster.command("squeue", "-h", "-r", "-o", "%i", "--name=screen-array").split()
    assert len(ids) == 3
    numbers = {one: cluster.command("squeue", "-h", "-r", "-j", one, "-o", "%A") for one in ids}
    os.kill(rank_pid(numbers[ids[0]], 0), signal.SIGKILL)
    cluster.command("scontrol", "requeue", ids[1])
    assert process.wait(timeout=200) == 1, "a task was killed"
    assert (folder / "result.json").exists()
    assert result_of(folder) == result_of(screened.folder / "alone")
