"""Which jobs `status` shows: the last submissions of a run, wherever it lies now and whatever the clocks have said."""

import json
import os
import time

import pytest

from hpc.errors import CorruptError, InputError
from hpc.executor import JobRequest, _prepare
from hpc.profile import SiteProfile
from hpc.status import latest_jobs
from hpc.submitted import submission_number


def submitted(run, name="train", job_id="7", **changes):
    """The record of a job that has been submitted now."""
    request = JobRequest(name, "package.module:function", {}, run, 1, 1, 10)
    [folder] = _prepare([request], SiteProfile(), "local")
    (run / "logs").mkdir(exist_ok=True)
    values = {"name": name, "job_id": job_id, "cluster": "local", "log_folder": "../../logs", "num_tasks": 1}
    (folder / "submitted.json").write_text(json.dumps(values | {"process_started": "1"} | changes))
    return folder


def test_the_last_submission_counts_although_a_clock_ran_ahead(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        ahead = time.gmtime(time.time() + 10**8)
        patch.setattr(time, "gmtime", lambda *_: ahead)
        submitted(tmp_path)
    last = submitted(tmp_path)
    assert [job.job_folder for job in latest_jobs(tmp_path)] == [last]
    assert submission_number(last) == 2


def test_folders_that_were_named_by_time_come_before(tmp_path):
    old = submitted(tmp_path)
    old.rename(old.with_name("20991231T235959Z-0a0b0c0d"))
    last = submitted(tmp_path)
    for stray in ("\u00b2-x", "-1-x", "9" * 30 + "-x", "99", "notes"):
        (tmp_path / "jobs" / stray).mkdir()
    assert [job.job_folder for job in latest_jobs(tmp_path)] == [last]
    assert submission_number(submitted(tmp_path)) == submission_number(last) + 1


def test_tasks_of_an_array_stay_together_and_a_pid_that_comes_again_is_another_job(tmp_path):
    for _ in range(2):
        folder = submitted(tmp_path, job_id="7")
    tasks = [submitted(tmp_path, "embed", f"41_{task}", cluster="slurm", process_started=None) for task in range(12)]
    assert [job.job_folder for job in latest_jobs(tmp_path)] == [folder, *tasks]


def test_a_run_that_was_moved_knows_how_it_ended(tmp_path):
    before, after = tmp_path / "before", tmp_path / "elsewhere" / "after"
    folder = submitted(before)
    (before / "logs" / "exit_codes.json").write_text("[0]")
    (folder / "outcome-rank0.json").write_text('{"exit_code": 0, "message": "done", "restarts": 0}')
    after.parent.mkdir()
    before.rename(after)
    [job] = latest_jobs(after)
    assert job.poll().status == "done"
    assert job.log_path(0).parent == after / "logs"


def test_a_damaged_record_hides_no_other_job(tmp_path, caplog):
    whole, damaged = submitted(tmp_path, "embed"), submitted(tmp_path)
    (damaged / "submitted.json").write_text('{"name": ')
    assert [job.job_folder for job in latest_jobs(tmp_path)] == [whole]
    assert str(damaged / "submitted.json") in caplog.text
    (whole / "submitted.json").unlink()
    os.mkfifo(whole / "submitted.json")
    with pytest.raises(CorruptError, match="not a regular file"):
        latest_jobs(tmp_path)


def test_a_run_without_jobs(tmp_path):
    with pytest.raises(InputError, match="no job was submitted"):
        latest_jobs(tmp_path)
