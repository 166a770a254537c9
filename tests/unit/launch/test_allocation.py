"""`--cluster allocation` on a command line: Slurm decides the size of the job, and nothing is submitted."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hpc.errors import EnvironmentProblem, InputError
from hpc.ranks.topology import set_by_a_launcher
from hpc.submit.jobs_of_run import submitted_jobs
from launch import doctor
from launch._submit import cluster_overrides

BATCH = {"SLURM_JOB_ID": "41", "SLURM_JOB_NUM_NODES": "2", "SLURM_NTASKS": "4", "SLURM_CPUS_PER_TASK": "3"}


@pytest.fixture
def batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In a folder with a configuration, a batch script of two nodes; srun keeps its words, and its ranks fail."""
    for name in filter(set_by_a_launcher, list(os.environ)):
        monkeypatch.delenv(name)
    for name, value in BATCH.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "srun").write_text(f'#!/bin/bash\nprintf "%s\\n" "$@" >{tmp_path}/words\nexit 1\n')
    (tmp_path / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    (tmp_path / "SNW_config.json").write_text(json.dumps({"cluster": {"nodes": 7, "time_min": 5}}))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def called(*arguments: str) -> Any:
    return CliRunner().invoke(doctor.app, ["--cluster", "allocation", *arguments])


def test_the_size_of_a_job_is_that_of_its_batch_script(batch: Path) -> None:
    done = called("--profile", "devcluster")
    assert done.exit_code == 1, done.output
    words = (batch / "words").read_text().splitlines()
    assert {"--nodes=2", "--ntasks=4", "--cpus-per-task=3"} <= set(words)
    [job] = submitted_jobs(batch / "runs" / "run")
    assert (job.name, job.job_id, job.num_tasks) == ("doctor-run", "41", 4)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--nodes", "3"), "--nodes 3: the batch script says"),
        (("--tasks-per-node", "1"), "--tasks-per-node 1: the batch script says"),
        (("--time-min", "9"), "--time-min 9: the batch script says"),
        (("--partition", "gpu"), "--partition is for a job that is submitted"),
    ],
)
def test_what_would_be_ignored_is_refused(batch: Path, arguments: tuple[str, str], said: str) -> None:
    done = called(*arguments)
    assert isinstance(done.exception, InputError)
    assert said in str(done.exception)
    assert not (batch / "words").exists()


def test_what_is_as_slurm_has_given_it_is_no_contradiction(batch: Path) -> None:
    found = cluster_overrides(2, 2, "allocation", None, None, 1)
    assert found["cluster.nodes"] == found["cluster.tasks_per_node"] == 2


def test_a_configuration_cannot_ask_for_it(batch: Path) -> None:
    """It would hold for commands on the login node, too, and the size would be that of the configuration."""
    done = CliRunner().invoke(doctor.app, ["--set", "cluster.cluster=allocation"])
    assert isinstance(done.exception, InputError)
    assert "belongs on the command line: --cluster allocation" in str(done.exception)


def test_outside_an_allocation_it_is_refused(batch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID")
    done = called()
    assert isinstance(done.exception, EnvironmentProblem)
    assert "slurm/train.sbatch" in str(done.exception)
