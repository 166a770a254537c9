"""A job in the allocation of a batch script: the ranks get what those of a submitted job get, once for all starts."""

from __future__ import annotations

import io
import json
import os
import shlex
import signal
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from hpc.errors import EnvironmentProblem, InputError
from hpc.job.profile import EnvironmentVariable, SiteProfile
from hpc.job.request import JobRequest, read_request
from hpc.ranks.topology import Allocation, JobIdentity
from hpc.submit.allocation import begun_before, run_in_allocation
from hpc.submit.jobs_of_run import submitted_jobs
from hpc.submit.sbatch import render_sbatch

PROFILE = SiteProfile(
    cpus_per_task=7, mpi="pmi2", srun_args=["--cpu-bind=none"], environment=[EnvironmentVariable("HERE", "1", "why")]
)


@pytest.fixture
def srun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands for Slurm's programs: srun keeps its words and does what is in `ranks`, scontrol knows the limit."""
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "srun").write_text(
        f'#!/bin/bash\nprintf "%s\\n" "$@" >{folder}/words\nprintf "%s" "$HERE" >{folder}/here\n'
        f"job=${{@: -1}}\nsource {folder}/ranks\n"
    )
    (folder / "scontrol").write_text("#!/bin/bash\necho 'JobId=7 RunTime=00:01:00 TimeLimit=1-00:30:00 JobState=X'\n")
    (folder / "ranks").write_text(ranks_end(0))
    for name in ("srun", "scontrol"):
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return folder


def ranks_end(code: int, message: str = "done", restarts: int = 0) -> str:
    """What the two ranks leave, as shell."""
    outcome = shlex.quote(json.dumps({"exit_code": code, "message": message, "restarts": restarts}))
    return f'for rank in 0 1; do echo {outcome} >"$job/outcome-rank$rank.json"; done; exit {code}\n'


def request(run: Path, **changes: object) -> JobRequest:
    values: dict = {"name": "train-a", "entry_point": "a.b:c", "config": {"n": 1}, "folder": run}
    return JobRequest(**{**values, "nodes": 2, "tasks_per_node": 1, "time_min": 60, **changes})


def here(job_id: str = "7", restarts: int = 0, **changes: int) -> Allocation:
    return Allocation(JobIdentity(job_id, restarts), **{"nodes": 2, "tasks_per_node": 1, "cpus_per_task": 4, **changes})


def ran(requests: list[JobRequest], allocation: Allocation) -> tuple[int, str]:
    text = io.StringIO()
    code = run_in_allocation(requests, PROFILE, allocation, Console(file=text, width=160))
    return code, text.getvalue()


def test_the_ranks_are_started_as_those_of_a_submitted_job(tmp_path: Path, srun: Path) -> None:
    code, said = ran([request(tmp_path / "run")], here())
    assert code == 0, said
    words = (srun / "words").read_text().splitlines()
    [job] = submitted_jobs(tmp_path / "run")
    assert (job.name, job.job_id, job.cluster, job.num_tasks) == ("train-a", "7", "slurm", 2)
    script = render_sbatch(request(tmp_path / "run"), PROFILE, shlex.join(words[-6:]), job.job_folder)
    submitted = shlex.split(script.splitlines()[-1].replace("%j_%t", "7_%t"))[1:]
    asked = {"--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--open-mode=append"}  # sbatch says these elsewhere
    assert asked <= set(words)
    assert words[-1] == str(job.job_folder)
    expected = [word.replace("--cpus-per-task=7", "--cpus-per-task=4") for word in submitted]
    assert sorted(" ".join(expected).replace("=", " ").split()) == sorted(
        " ".join(word for word in words if word not in asked).replace("=", " ").split()
    )
    assert (srun / "here").read_text() == "1", "the environment of the profile"
    found = read_request(job.job_folder / "request.json")
    assert (found.config, found.time_min, found.mpi) == ({"n": 1}, 24 * 60 + 30, True)
    assert job.log_path(0).parent.is_dir()


def test_a_job_that_is_queued_again_goes_on_as_it_was_asked_for(tmp_path: Path, srun: Path) -> None:
    run = tmp_path / "run"
    ran([request(run)], here())
    assert begun_before(run, "train-a", JobIdentity("7", 1)) is not None
    assert begun_before(run, "train-a", JobIdentity("7", 0)) is None, "a second command in one shell of salloc"
    assert begun_before(run, "train-b", JobIdentity("7", 1)) is None
    assert begun_before(run, "train-a", JobIdentity("8", 1)) is None
    (srun / "ranks").write_text(ranks_end(0, restarts=1))
    code, said = ran([request(run, config={"n": 2})], here(restarts=1))
    assert code == 0, said
    [job] = submitted_jobs(run)
    assert read_request(job.job_folder / "request.json").config == {"n": 1}


def test_its_exit_code_is_that_of_the_ranks(tmp_path: Path, srun: Path) -> None:
    (srun / "ranks").write_text(ranks_end(3, "the store is damaged"))
    code, said = ran([request(tmp_path / "run")], here())
    assert (code, said.splitlines()[-1]) == (3, "failed (exit code 3): the store is damaged")
    (srun / "ranks").write_text("exit 137\n")
    code, said = ran([request(tmp_path / "run")], here())
    assert code == 1
    assert "srun ended with exit code 137" in said


def test_a_signal_is_left_to_the_ranks(tmp_path: Path, srun: Path) -> None:
    """A batch script that ends inside the grace time is never queued again."""
    (srun / "ranks").write_text(f"touch {srun}/begun\nsleep 1\nexit 143\n")

    def ask() -> None:
        while not (srun / "begun").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGUSR2)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=ask)
    thread.start()
    started = time.monotonic()
    code, said = ran([request(tmp_path / "run")], here())
    thread.join()
    assert time.monotonic() - started >= 1
    assert code == 75
    assert "goes on from what is saved" in said
    assert "failed" not in said


def test_a_task_of_an_array_does_its_own_part(tmp_path: Path, srun: Path) -> None:
    requests = [request(tmp_path / "run", config={"n": n}, array_task=n, num_array_tasks=3) for n in range(3)]
    (srun / "ranks").write_text(ranks_end(0).replace('"$job/', '"${job}_00005/'))
    code, said = ran(requests, here("7_5", array_task=2, num_array_tasks=3))
    assert code == 0, said
    [job] = submitted_jobs(tmp_path / "run")
    assert job.job_folder.name.endswith("_00005"), "where hpc.job.on_node looks"
    found = read_request(job.job_folder / "request.json")
    assert (found.config, found.array_task, found.num_array_tasks) == ({"n": 2}, 2, 3)
    with pytest.raises(InputError, match="no array of 4 tasks"):
        ran(requests, here("7_5", num_array_tasks=4))


def test_several_jobs_run_one_after_another_where_there_is_no_array(tmp_path: Path, srun: Path) -> None:
    code, said = ran([request(tmp_path / "run", name=name) for name in ("a", "b")], here())
    assert code == 0, said
    assert [job.name for job in submitted_jobs(tmp_path / "run")] == ["a", "b"]


def test_without_srun_one_line_says_so(tmp_path: Path, srun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentProblem, match="srun cannot be started"):
        ran([request(tmp_path / "run")], here())
