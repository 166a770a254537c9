"""Jobs that never run, on a real Slurm: cancelled while they wait, wait for ever, or fail before any rank is there."""

from __future__ import annotations

import json

import pytest

from tests.slurm.conftest import Cluster, Workplace, wait_until

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group("slurm"), pytest.mark.timeout(300)]


def test_a_job_that_waits_for_ever_is_told_and_its_scancel_too(cluster: Cluster, workplace: Workplace) -> None:
    process = workplace.start("train", "--run", "waits", "--nodes", "5")  # there are four
    log = workplace.folder / f"train-{len(workplace.started) - 1}.log"
    wait_until(lambda: "What to do" in log.read_text() or process.poll() is not None, "advice")
    if process.poll() is None:
        cluster.command("scancel", "--name=train-waits")
        assert process.wait(60) == 130, log.read_text()
        assert "cancelled (exit code 130) by root, before it had started" in log.read_text()
    else:  # this Slurm refuses at once
        assert process.returncode == 4


def test_a_failing_line_of_the_setup_ends_the_job(workplace: Workplace) -> None:
    (workplace.folder / "setup.json").write_text(json.dumps({"setup": ["true", "module load nothing/1"]}))
    said = workplace.run("train", "--run", "setup", "--profile", "setup.json", code=4)
    assert "setup of the site profile, line 2, failed with exit code 127: module load nothing/1" in said
    assert "command not found" in said
