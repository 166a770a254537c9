import json

import pytest

from hpc.errors import InputError
from hpc.schedulers import Seen
from hpc.submitted import SubmittedJob, load_submitted


def leave(job, rank, code, message, **more):
    outcome = {"exit_code": code, "message": message} | more
    (job.job_folder / f"outcome-rank{rank}.json").write_text(json.dumps(outcome))


def test_life_of_a_job_that_is_requeued_once(job, scheduler):
    assert (job.poll().status, job.poll().attempt) == ("pending", 1)
    scheduler.seen = Seen("running")
    assert job.poll().status == "running"
    scheduler.seen = Seen("ended", "PREEMPTED", 0, 60.0)
    assert job.poll().status == "running"  # not believed yet
    scheduler.now += 30
    scheduler.seen = Seen("pending", "BeginTime", 0)
    state = job.poll()
    assert (state.status, state.attempt, state.message, state.ended) == ("requeued", 2, "BeginTime", False)
    assert job.poll().attempt == 2
    scheduler.seen = Seen("running", "", 1)
    assert (job.poll().status, job.poll().attempt) == ("running", 2)
    leave(job, 0, 0, "done")
    assert job.poll().status == "running"
    leave(job, 1, 0, "done")
    state = job.poll()
    assert (state.status, state.exit_code, state.attempt, state.ended) == ("done", 0, 2, True)


def test_done_needs_the_other_ranks_or_the_scheduler_or_patience(job, scheduler):
    scheduler.seen = Seen("running")
    leave(job, 0, 0, "done")
    assert job.poll().status == "running"
    scheduler.now += 61
    assert job.poll().status == "done"
    scheduler.seen = Seen("ended", "COMPLETED")
    assert job.poll().status == "done"
    scheduler.seen = Seen("ended", "OUT_OF_MEMORY")
    assert job.poll().status == "failed"


def test_a_preempted_outcome_waits_for_the_scheduler(job, scheduler):
    scheduler.seen = Seen("running")
    leave(job, 0, 75, "state saved")
    scheduler.now += 1000
    assert job.poll().status == "running"
    scheduler.seen = Seen("pending", "BeginTime", 1)
    assert job.poll().status == "requeued"
    scheduler.seen = Seen("ended", "FAILED", 1)
    state = job.poll()
    assert (state.status, state.exit_code, state.message) == ("failed", 75, "state saved")


def test_the_outcome_that_explains_most_is_told(job, scheduler):
    leave(job, 0, 1, "rank 0: ConnectionError: peer closed")
    leave(job, 1, 3, "shard 7 is damaged")
    scheduler.seen = Seen("running")
    assert job.poll().status == "running"
    scheduler.seen = Seen("ended", "FAILED", 0, 10.0)
    state = job.poll()
    assert (state.status, state.exit_code, state.message) == ("failed", 3, "shard 7 is damaged")


def test_a_rank_without_a_word_is_named(job, scheduler):
    leave(job, 0, 1, "peer closed")
    scheduler.seen = Seen("ended", "FAILED")
    assert job.poll().message == "peer closed\nNo word from rank 1 (FAILED)."


def test_a_silent_death_shows_state_and_log(job, scheduler):
    job.log_path(1).write_text("".join(f"line {i}\n" for i in range(5000)))
    scheduler.seen = Seen("ended", "OUT_OF_MEMORY", 0, 10.0)
    assert not job.poll().ended
    scheduler.now += 11
    state = job.poll()
    assert (state.status, state.exit_code) == ("failed", 1)
    assert "OUT_OF_MEMORY" in state.message
    assert state.message.endswith("line 4998\nline 4999")
    assert state.message.count("line ") == 15
    job.log_path(1).unlink()
    assert "Nothing in" in job.poll().message


def test_torn_outcomes_are_not_there_yet(job, scheduler):
    (job.job_folder / "outcome-rank0.json").write_text('{"exit_')
    scheduler.seen = Seen("running")
    assert job.poll().status == "running"


def test_a_job_found_again_after_its_end_needs_no_waiting(job, scheduler):
    again = SubmittedJob(
        "name", "41", "slurm", job.job_folder, job.log_folder, 2, scheduler, scheduler.clock, fresh=False
    )
    scheduler.seen = Seen("ended", "CANCELLED", 0, 10.0)
    assert again.poll().status == "failed"
    assert job.poll().message == "ended as CANCELLED, making sure"
    scheduler.seen = Seen("ended", "PREEMPTED", 0, 60.0)
    assert not again.poll().ended


def test_a_folder_without_a_job(tmp_path):
    with pytest.raises(InputError, match="no submitted job"):
        load_submitted(tmp_path)
