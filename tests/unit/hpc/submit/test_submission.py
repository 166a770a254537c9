"""What a job is told, from the launcher to its ranks, and that nobody else can tell it anything else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hpc.errors import EnvironmentProblem, InputError
from hpc.job.on_node import task_folder
from hpc.job.profile import SiteProfile
from hpc.job.request import JobRequest, RankRequest, read_request
from hpc.submit.executor import submit, submit_array
from tests.kit.strangers import IS_ROOT, NOBODY, place_for_both, run_stranger

ROOT = Path(__file__).resolve().parents[4]


def request(folder: Path, **changes: object) -> JobRequest:
    values: dict = {
        "name": "job",
        "entry_point": "tests.kit.jobs:nothing",
        "config": {"a": 1},
        "folder": folder,
    }
    return JobRequest(**{**values, "nodes": 1, "tasks_per_node": 2, "time_min": 5, "device": "cpu", **changes})


@pytest.fixture
def sbatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands for Slurm's programs; keeps the script that it was given."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name, code in (("srun", "exit 1"), ("sbatch", f"/bin/cat $1 > {folder}/script; echo Submitted batch job 41")):
        (folder / name).write_text(f"#!/bin/sh\n{code}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return folder / "script"


def test_one_command_serves_all_tasks_of_an_array(tmp_path: Path, sbatch: Path) -> None:
    requests = [request(tmp_path / "run", config={"n": n}, array_task=n, num_array_tasks=12) for n in range(12)]
    jobs = submit_array(requests, SiteProfile())
    script = sbatch.read_text()
    [command] = [line for line in script.splitlines() if "hpc.job.on_node" in line]
    shared = Path(command.split()[-1])
    assert "#SBATCH --array=0-11%12" in script
    assert "_log.out" in command
    assert "%A_%a_%t" in command
    for number, job in enumerate(jobs):
        assert job.job_id == f"41_{number}"
        assert job.job_folder == task_folder(shared, number)
        found = read_request(job.job_folder / "request.json")
        assert (found.config, found.array_task, found.num_array_tasks) == ({"n": number}, number, 12)
        assert found.job_folder == str(job.job_folder)
        assert found.time_min == 5
    assert sorted(jobs, key=lambda job: job.job_folder.name) == jobs
    assert not list(tmp_path.rglob("*.pkl"))


@pytest.mark.parametrize(("task", "number"), [(None, 0), ("1", 1)])
def test_a_rank_finds_its_own_request(tmp_path: Path, task: str | None, number: int) -> None:
    """And finds it again after a requeue."""
    shared = tmp_path / "jobs" / "here"
    for each in (None, 0, 1):
        folder = task_folder(shared, each)
        folder.mkdir(parents=True)
        values = {"entry_point": "tests.kit.jobs:fail", "config": {"error": "input"}, "job_folder": str(folder)}
        (folder / "request.json").write_text(json.dumps({**values, "device": "cpu"}))
    environ = {} if task is None else {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": task}
    done = on_node(shared, **environ)
    assert done.returncode == 2, done.stderr
    ended = [path.parent.name for path in tmp_path.rglob("outcome-rank0.json")]
    assert ended == [task_folder(shared, None if task is None else number).name]


def on_node(folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SUBMITIT_"))}
    command = [sys.executable, "-u", "-P", "-m", "hpc.job.on_node", str(folder)]
    environ |= {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd="/", env=kept | environ, capture_output=True, text=True, timeout=90, check=False)


CODE = """
import os, pathlib
def run(config, runtime): pathlib.Path(config["mark"]).write_text(str(os.getuid()))
"""


def test_an_exchanged_folder_does_not_run_as_us() -> None:
    """The attack that was seen: the group may write to the run folder, and a stranger puts his own request there."""
    with place_for_both() as place:
        run, mark = place / "run", place / "mark"
        job = run / "jobs" / "here"
        job.mkdir(parents=True, mode=0o700)
        values = {"entry_point": "tests.kit.jobs:fail", "config": {"error": "input"}, "job_folder": str(job)}
        (job / "request.json").write_text(json.dumps(values))
        run.chmod(0o777)
        attack = """
        run, mark, code = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
        (run / "jobs").rename(run / "away")
        theirs = run / "jobs" / "here"
        theirs.mkdir(parents=True)
        (theirs / "theirs.py").write_text(code)
        request = {"entry_point": "theirs:run", "config": {"mark": mark}, "job_folder": str(theirs)}
        (theirs / "request.json").write_text(json.dumps(request))
        print("exchanged")
        """
        assert run_stranger(attack, run, mark, CODE) == "exchanged\n"
        done = on_node(job, THEIRS=str(job))
        assert done.returncode == 4, done.stderr
        assert f"{run}: its group and everybody can write to it" in done.stderr
        assert f"chmod go-w {run}" in done.stderr
        assert "Traceback" not in done.stderr
        run.chmod(0o755)
        if IS_ROOT:
            done = on_node(job)
            assert done.returncode == 4
            assert f"{run / 'jobs'}: belongs to another user (uid {NOBODY})" in done.stderr
        assert not mark.exists()


@pytest.mark.parametrize("cluster", ["slurm", "local"])
def test_nothing_is_submitted_from_a_folder_that_others_can_write_to(
    tmp_path: Path, sbatch: Path, cluster: str
) -> None:
    run = tmp_path / "open" / "run"
    run.mkdir(parents=True)
    for folder in (run, run.parent):
        folder.chmod(0o775)
        with pytest.raises(EnvironmentProblem, match=f"chmod g-w {folder} "):
            submit(request(run), SiteProfile(), cluster)  # type: ignore[arg-type]
        folder.chmod(0o755)
    assert not list(run.iterdir()), "nor is anything made there"
    run.parent.chmod(0o775)
    with pytest.raises(EnvironmentProblem, match="chmod g-w"):
        submit(request(run.parent / "not yet"), SiteProfile(), cluster)  # type: ignore[arg-type]
    assert not sbatch.exists()


def test_others_may_read_the_run_but_not_its_jobs(tmp_path: Path, sbatch: Path) -> None:
    run = tmp_path / "run"
    run.mkdir(mode=0o755)
    job = submit(request(run), SiteProfile(), "slurm")
    assert run.stat().st_mode & 0o777 == 0o755
    for private in (run / "jobs", run / "logs", job.job_folder):
        assert private.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"entry_point": "a:b", "config": {}}',
        '{"entry_point": "a:b", "config": [], "job_folder": "f"}',
        '{"entry_point": "os.system", "config": {}, "job_folder": "f"}',
        '{"entry_point": "a:b", "config": {}, "job_folder": "f", "more": 1}',
        '{"entry_point": "a:b", "config": {}, "job_folder": "f", "time_min": -1}',
        '{"entry_point": "a:b", "config": {}, "job_folder": "f", "device": "tpu"}',
        '{"entry_point": "a:b", "config": {}, "job_folder": "f", "startup_deadline_s": NaN}',
        "[" * 100000,
    ],
)
def test_a_request_that_makes_no_sense_is_told_in_one_line(tmp_path: Path, content: str) -> None:
    file = tmp_path / "request.json"
    file.write_text(content)
    with pytest.raises(InputError) as raised:
        read_request(file, 0.0)
    assert str(raised.value).startswith(str(file))


def test_a_request_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(EnvironmentProblem, match=r"not there\. Is its folder on all nodes"):
        read_request(tmp_path / "request.json", 0.6)
    assert time.monotonic() - started >= 0.6


def test_defaults_are_those_of_a_job_by_hand() -> None:
    assert RankRequest("a:b", {}, "f") == RankRequest("a:b", {}, "f", None, "auto", 120.0, False, 0, 1)


def test_modules_beside_the_user_are_not_imported(tmp_path: Path, sbatch: Path) -> None:
    """Whoever can write to the folder in which the launcher was started must not add code to the job."""
    submit(request(tmp_path / "run"), SiteProfile(), "slurm")
    [command] = [line for line in sbatch.read_text().splitlines() if "hpc.job.on_node" in line]
    (tmp_path / "hpc").mkdir()
    (tmp_path / "hpc" / "__init__.py").write_text("raise SystemExit('theirs')")
    ours = command[command.index(sys.executable) :]
    environ = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(ours, shell=True, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=90)
    assert "theirs" not in done.stderr
    assert done.returncode == 0, done.stderr
