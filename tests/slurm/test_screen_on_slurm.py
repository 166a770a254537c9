"""A screen on a real Slurm: an array with a task that is killed and one that is requeued gives the bytes of one job."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.bundle_tools import bundled, measured_run, with_model
from tests.kit.screen_tools import result_of, write_library
from tests.slurm.conftest import Cluster, Workplace, rank_pid, wait_until

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group("slurm"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def place(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """A folder with a bundle and two libraries."""
    folder = tmp_path_factory.mktemp("screened")
    bundled(measured_run(folder, **with_model("siamese")), folder / "bundle")
    write_library(folder / "l.fasta", dict.fromkeys(range(8, 40), 100), 1)
    write_library(folder / "r.fasta", {60: 20}, 2)
    place = Workplace(folder, cluster.environment)
    yield place
    for process in place.started:
        process.kill()
        process.wait()


def command(name: str, *more: str) -> list[str]:
    units = ["--block-residues", "1500", "--unit-pairs", "5000", "--device", "cpu"]
    files = ["--bundle", "bundle", "--ligands", "l.fasta", "--receptors", "r.fasta", "--to", name, "--top", "100"]
    return [*files, *units, "--profile", "devcluster", "--time-min", "10", *more]


def made(folder: Path, pattern: str) -> int:
    return len([*folder.rglob(pattern)])


def test_an_array_with_a_killed_and_a_requeued_task_gives_the_same_bytes(cluster: Cluster, place: Workplace) -> None:
    """The task that was killed has failed; the two others do its work, too."""
    process = place.start("screen", *command("array", "--cluster", "slurm", "--array", "3"))
    folder = place.folder / "array"
    wait_until(lambda: made(folder, "block_*.safetensors") >= 6, "six blocks of vectors", 120)
    ids = cluster.command("squeue", "-h", "-r", "-o", "%i", "--name=screen-array").split()
    assert len(ids) == 3
    numbers = {one: cluster.command("squeue", "-h", "-r", "-j", one, "-o", "%A") for one in ids}
    os.kill(rank_pid(numbers[ids[0]], 0), signal.SIGKILL)
    cluster.command("scontrol", "requeue", ids[1])
    assert process.wait(timeout=200) == 1, "a task was killed"
    assert (folder / "result.json").exists()
    place.run("screen", *command("alone", "--cluster", "local"))
    assert result_of(folder) == result_of(place.folder / "alone")
