"""`--dry-run` of `embed` and `train`: all checks, the batch script, and no job."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from launch import _submit
from snw_dist.config import SnwConfig, config_from_dict


def config(folder: Path, cluster: str) -> SnwConfig:
    section = {"cluster": cluster, "profile": "devcluster", "nodes": 2, "array": 3, "time_min": 7}
    return config_from_dict({"run": {"name": "x", "folder": str(folder)}, "cluster": section})


def shown(kind: str, settings: SnwConfig, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(typer.Exit) as ended:
        _submit.submit_and_follow(settings, kind, "a.b:c", "cpu", "gpu", detach=False, dry_run=True)
    assert ended.value.exit_code == 0
    assert not settings.run_folder.exists(), "nothing is made"
    return capsys.readouterr().out


@pytest.mark.parametrize(("kind", "array"), [("train", False), ("embed", True)])
def test_the_batch_script_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: str, array: bool
) -> None:
    monkeypatch.setattr("hpc.submit.executor.resolve_cluster", lambda wanted: "slurm")
    text = shown(kind, config(tmp_path, "slurm"), capsys)
    assert text.startswith("#!/bin/bash")
    for line in (f"--job-name={kind}-x", "--nodes=2", "--time=7", "--partition=gpu", "--requeue"):
        assert f"#SBATCH {line}\n" in text
    assert ("#SBATCH --array=0-2%3" in text) == array
    assert f"hpc.job.on_node {tmp_path}/x/jobs/SUBMISSION" in text


def test_where_no_script_is_needed_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown("train", config(tmp_path, "local"), capsys).startswith("No batch script is needed. 2 times: ")
