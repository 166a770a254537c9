"""The tasks of an array take names of their own; run by a real bash, with a made-up scontrol."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hpc.job.profile import SiteProfile
from hpc.job.request import JobRequest
from hpc.submit.sbatch import slurm_parameters
from hpc.submit.task_names import naming_lines

NAMES = ["compare-x-siamese-1", "compare-a b'$(touch harm)`id`-triplet-1"]


def run(folder: Path, scontrol: str | None) -> subprocess.CompletedProcess[str]:
    programs = folder / "bin"
    programs.mkdir()
    for name in ("timeout", "touch", "sleep"):
        (programs / name).symlink_to(f"/usr/bin/{name}")
    if scontrol is not None:
        (programs / "scontrol").write_text(f"#!/bin/bash\n{scontrol}\n")
        (programs / "scontrol").chmod(0o755)
    environ = {"SLURM_ARRAY_JOB_ID": "41", "SLURM_ARRAY_TASK_ID": "1", "PATH": str(programs)}
    script = "\n".join(["set -e", *naming_lines(NAMES), "echo went on"])
    return subprocess.run(
        ["/bin/bash", "-c", script], cwd=folder, env=environ, capture_output=True, text=True, timeout=30
    )


def test_a_task_takes_its_own_name_and_that_of_no_other(tmp_path: Path) -> None:
    done = run(tmp_path, "printf '%s\\n' \"$@\" > given")
    assert (done.returncode, done.stdout, done.stderr) == (0, "went on\n", "")
    assert (tmp_path / "given").read_text().splitlines() == ["update", "JobId=41_1", f"JobName={NAMES[1]}"]
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("scontrol", [None, "echo 'Access denied' >&2; exit 1"])
def test_without_the_name_the_task_goes_on(tmp_path: Path, scontrol: str | None) -> None:
    done = run(tmp_path, scontrol)
    assert (done.returncode, done.stdout, done.stderr) == (0, "went on\n", "")


def test_tasks_that_are_called_alike_take_no_names() -> None:
    assert naming_lines(["embed-x", "embed-x"]) == naming_lines(["train-x"]) == []


@pytest.mark.parametrize(("num_tasks", "name"), [(1, "compare-x-siamese-1"), (2, "compare-x")])
def test_an_array_has_the_name_of_all_and_a_single_job_its_own(tmp_path: Path, num_tasks: int, name: str) -> None:
    own: dict[str, object] = {"num_array_tasks": num_tasks, "array_name": "compare-x"}
    request = JobRequest("compare-x-siamese-1", "a:b", {}, tmp_path, 1, 1, 10, **own)  # type: ignore[arg-type]
    assert slurm_parameters(request, SiteProfile(), tmp_path)["job_name"] == name
