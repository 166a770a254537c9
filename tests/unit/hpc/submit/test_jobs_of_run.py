"""Which jobs `status` shows: the last submissions of a run, wherever it lies now and whatever the clocks have said."""

import os
import subprocess
import time

import pytest

from hpc.errors import CorruptError, EnvironmentProblem, InputError
from hpc.machine.processes import process_started
from hpc.ranks.outcome import Outcome, write_outcome
from hpc.submit.jobs_of_run import jobs_to_show, refuse_waiting
from hpc.submit.submitted import submission_number
from tests.kit.submit_tools import submitted


def shown(run):
    return [job for job, _ in jobs_to_show(run)]


@pytest.fixture
def living():
    """A process that stands for one that runs a job."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield {"job_id": str(process.pid), "process_started": process_started(process.pid), "host": None}
        process.kill()


def test_a_job_that_was_refused_hides_none_that_runs(tmp_path, living):
    embedded = submitted(tmp_path, "embed")
    running = submitted(tmp_path, **living)
    refused = [submitted(tmp_path) for _ in range(2)]
    for folder in refused:
        write_outcome(folder, 0, Outcome(4, "in use by job 3, of ann"))
    found = jobs_to_show(tmp_path)
    assert [job.job_folder for job, _ in found] == [running, refused[1], embedded]
    assert [state.status for _, state in found][:2] == ["running", "failed"]
    assert found[1][1].message == "in use by job 3, of ann"


def test_a_second_submission_of_what_runs_is_refused_before_it_is_queued(tmp_path, living):
    folder = tmp_path / "my run"
    refuse_waiting(folder, "train")
    submitted(folder, **living)
    submitted(folder, "embed")
    said = rf"job {living['job_id']} .* is running on 1 rank.*status --folder '{folder}'` .*cancel it"
    with pytest.raises(EnvironmentProblem, match=said):
        refuse_waiting(folder, "train")
    refuse_waiting(folder, "embed")


def test_what_has_ended_or_cannot_be_seen_from_here_refuses_nothing(tmp_path):
    submitted(tmp_path)
    submitted(tmp_path, host="elsewhere")
    submitted(tmp_path, job_id="41", cluster="slurm", process_started=None)
    (submitted(tmp_path) / "submitted.json").write_text("{")
    refuse_waiting(tmp_path, "train")


def test_the_last_submission_counts_although_a_clock_ran_ahead(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        ahead = time.gmtime(time.time() + 10**8)
        patch.setattr(time, "gmtime", lambda *_: ahead)
        submitted(tmp_path)
    last = submitted(tmp_path)
    assert [job.job_folder for job in shown(tmp_path)] == [last]
    assert submission_number(last) == 2


def test_folders_that_were_named_by_time_come_before(tmp_path):
    old = submitted(tmp_path)
    old.rename(old.with_name("20991231T235959Z-0a0b0c0d"))
    last = submitted(tmp_path)
    for stray in ("\u00b2-x", "-1-x", "9" * 30 + "-x", "99", "notes"):
        (tmp_path / "jobs" / stray).mkdir()
    assert [job.job_folder for job in shown(tmp_path)] == [last]
    assert submission_number(submitted(tmp_path)) == submission_number(last) + 1


def test_tasks_of_an_array_stay_together_and_a_pid_that_comes_again_is_another_job(tmp_path):
    for _ in range(2):
        folder = submitted(tmp_path, job_id="7")
    tasks = [submitted(tmp_path, "embed", f"41_{task}", cluster="slurm", process_started=None) for task in range(12)]
    assert [job.job_folder for job in shown(tmp_path)] == [*tasks, folder]


def test_a_run_that_was_moved_knows_how_it_ended(tmp_path):
    before, after = tmp_path / "before", tmp_path / "elsewhere" / "after"
    folder = submitted(before)
    (before / "logs" / "exit_codes.json").write_text("[0]")
    (folder / "outcome-rank0.json").write_text('{"exit_code": 0, "message": "done", "restarts": 0}')
    after.parent.mkdir()
    before.rename(after)
    [job] = shown(after)
    assert job.poll().status == "done"
    assert job.log_path(0).parent == after / "logs"


def test_a_damaged_record_hides_no_other_job(tmp_path, caplog):
    whole, damaged = submitted(tmp_path, "embed"), submitted(tmp_path)
    (damaged / "submitted.json").write_text('{"name": ')
    assert [job.job_folder for job in shown(tmp_path)] == [whole]
    assert str(damaged / "submitted.json") in caplog.text
    (whole / "submitted.json").unlink()
    os.mkfifo(whole / "submitted.json")
    with pytest.raises(CorruptError, match="not a regular file"):
        shown(tmp_path)


def test_a_run_without_jobs(tmp_path):
    with pytest.raises(InputError, match=r"no job was submitted for this run$"):
        shown(tmp_path)


def test_the_name_of_a_run_may_be_mistaken(tmp_path):
    for name in ("first", "second"):
        submitted(tmp_path / name)
    with pytest.raises(InputError, match=r"fisrt: no job was submitted for this run\. Runs there are: first, second$"):
        shown(tmp_path / "fisrt")
