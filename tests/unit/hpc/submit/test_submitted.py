import json
import os
import socket

import pytest

from hpc.errors import CorruptError, InputError
from hpc.machine.processes import process_started
from hpc.submit.schedulers import LocalProcess, Seen
from hpc.submit.submitted import SubmittedJob, load_submitted


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
    leave(job, 0, 0, "done", restarts=1)
    assert job.poll().status == "running"
    leave(job, 1, 0, "done", restarts=1)
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
    leave(job, 0, 75, "state saved", restarts=1)
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
    assert "OUT_OF_MEMORY, as it needs more memory than was asked for (raise mem_gb_per_node" in state.message
    assert state.message.endswith("line 4998\nline 4999")
    assert state.message.count("line ") == 15
    job.log_path(1).unlink()
    assert "Nothing in" in job.poll().message


def test_the_first_cause_is_told_and_no_echo_of_it(job, scheduler):
    leave(job, 0, 1, "rank 1 on n2 has gone without a word; see its log", echo=True)
    scheduler.seen = Seen("ended", "FAILED")
    job.log_path(0).write_text("Connection closed by peer [127.0.0.1]:1. GLHF!\n")
    job.log_path(1).write_text("Segmentation fault\n")
    state = job.poll()
    assert (state.status, state.exit_code) == ("failed", 1)
    assert "Rank 1 was killed, or its node failed. The same command goes on" in state.message
    assert state.message.endswith("41_1_log.err:\nSegmentation fault")
    assert "GLHF" not in state.message
    leave(job, 1, 3, "shard 7 is damaged")
    state = job.poll()
    assert (state.exit_code, state.message) == (3, "shard 7 is damaged")


def test_among_several_silent_ranks_the_one_that_the_others_name_is_told(tmp_path, scheduler):
    job = SubmittedJob("name", "41", "local", tmp_path, tmp_path, 4, scheduler, scheduler.clock)
    for rank in (0, 3):
        leave(job, rank, 1, "rank 2 on n1 has gone without a word; see its log", echo=True)
        job.log_path(rank).write_text("GLHF!\n")
    job.log_path(1).write_text("ended by the watchdog\n")
    job.log_path(2).write_text("")
    words = {1: "rank 1 was ended by SIGTERM", 2: "rank 2 was ended by SIGKILL"}
    scheduler.seen = Seen("ended", "rank 0 ended with exit code 1, " + ", ".join(words.values()), of_ranks=words)
    message = job.poll().message
    assert message.startswith("The job ended without a word of its own: rank 2 was ended by SIGKILL.")
    assert "GLHF" not in message


DAMAGED = ["", "[]", "7", "null", '"x"', "{", "\udcff", "[" * 100_000, '{"a": NaN}',
           '{"exit_code": 1e99, "message": "m"}',
           '{"exit_code": 0, "message": 5}', '{"exit_code": true, "message": "m"}', '{"exit_code": -1, "message": "m"}',
           '{"exit_code": 0, "message": "m", "restarts": "0"}', '{"exit_code": 0, "message": "m", "more": 1}',
           '{"exit_code": 0, "exit_code": 0, "message": "m"}', '{"exit_code": ' + "9" * 5000 + "}"]  # fmt: skip


@pytest.mark.parametrize("text", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_outcome_or_record_is_no_traceback(job, scheduler, text):
    data = text.encode(errors="surrogateescape")
    (job.job_folder / "outcome-rank0.json").write_bytes(data)
    (job.job_folder / "outcome-rank\u00b2.json").write_bytes(data)
    (job.job_folder / "exit_codes.json").write_bytes(data)
    scheduler.seen = Seen("running")
    assert job.poll().status == "running"
    ended = LocalProcess(2**22 + 1, job.job_folder, None, "1").look()
    assert (ended.phase, ended.word) == (
        "ended",
        "exit code 0" if text == "[]" else "the process that runs the tasks was killed",
    )
    (job.job_folder / "submitted.json").write_bytes(data)
    with pytest.raises(CorruptError, match=r"submitted\.json"):
        load_submitted(job.job_folder)


def test_pipes_in_place_of_files_are_not_waited_for(job, scheduler):
    for name in ("outcome-rank0.json", "submitted.json", "exit_codes.json"):
        os.mkfifo(job.job_folder / name)
    assert job.poll().status == "pending"
    assert LocalProcess(2**22 + 1, job.job_folder, None, "1").look().phase == "ended"
    with pytest.raises(CorruptError, match="not a regular file"):
        load_submitted(job.job_folder)


def record(folder, **changes):
    values = {"name": "train", "job_id": "41", "cluster": "local", "log_folder": ".", "num_tasks": 2}
    values |= {"process_started": "1", "host": socket.gethostname()}
    (folder / "submitted.json").write_text(json.dumps(values | changes))
    return load_submitted(folder)


@pytest.mark.parametrize(
    "change", [{"job_id": "-u root"}, {"cluster": "other"}, {"num_tasks": 0}, {"num_tasks": "2"}, {"log_folder": 5}]
)
def test_a_record_with_other_values_is_refused(tmp_path, change):
    with pytest.raises(CorruptError, match=next(iter(change))):
        record(tmp_path, **change)


def test_a_moved_run_that_has_finished_is_done_whoever_has_its_number_now(tmp_path, programs):
    """On another cluster the number may be a job that waits, runs or has failed; on another machine a process."""
    for cluster, host in (("slurm", "login1"), ("local", "elsewhere")):
        job = record(tmp_path, cluster=cluster, host=host)
        for rank in range(2):
            leave(job, rank, 0, "done")
        for state in ("PENDING", "RUNNING", "FAILED"):
            programs("squeue", f"echo '{'41':<20}{'N/A':<20}{state:<30}{0:<10}{'None':<60}'")
            assert record(tmp_path, cluster=cluster, host=host).poll().status == "done"


def test_a_local_job_of_another_machine_is_not_called_killed(tmp_path):
    job = record(tmp_path, host="elsewhere", job_id=str(os.getpid()), process_started=process_started(os.getpid()))
    state = job.poll()
    assert (state.status, state.ended) == ("unknown", False)
    assert "was started on elsewhere" in state.message
    for rank in range(2):
        leave(job, rank, 75, "saved")
    assert (job.poll().status, job.poll().exit_code) == ("failed", 75)
    (tmp_path / "outcome-rank1.json").unlink()
    (tmp_path / "exit_codes.json").write_text("[75, -9]")
    assert "No word" not in job.poll().message
    assert job.poll().ended


def test_torn_outcomes_are_not_there_yet(job, scheduler):
    (job.job_folder / "outcome-rank0.json").write_text('{"exit_')
    scheduler.seen = Seen("running")
    assert job.poll().status == "running"


def test_a_job_found_again_after_its_end_needs_no_waiting(job, scheduler):
    again = SubmittedJob(
        "name", "41", "slurm", job.job_folder, job.log_folder, 2, scheduler, scheduler.clock, fresh=False
    )
    scheduler.seen = Seen("ended", "CANCELLED", 0, 10.0)
    assert again.poll().status == "cancelled"
    assert job.poll().message == "ended as CANCELLED, making sure"
    scheduler.seen = Seen("ended", "PREEMPTED", 0, 60.0)
    assert not again.poll().ended


def test_scancel_is_told_as_such(job, scheduler):
    """Pending, running, by whomever, and while its ranks were saving; but a failure of its own stays one."""
    scheduler.seen = Seen("ended", "CANCELLED", settle_s=10.0, by="by anna")
    assert job.poll().message == "ended as CANCELLED, making sure"
    scheduler.now += 11
    state = job.poll()
    assert (state.status, state.exit_code, state.message) == ("cancelled", 130, "by anna, before it had started")
    scheduler.seen = Seen("running")
    assert job.poll().status == "running"
    (job.job_folder / "logs").mkdir()
    (job.job_folder / "logs" / "rank_00000.log").touch()
    leave(job, 0, 75, "asked to stop; state of step 7 is saved")
    leave(job, 1, 1, "rank 0 on n1 has gone without a word; see its log", echo=True)
    scheduler.seen = Seen("ended", "CANCELLED")
    state = job.poll()
    assert (state.status, state.ended, state.exit_code) == ("cancelled", True, 130)
    assert state.message == "by scancel; what it has saved is kept, and the same command goes on from there"
    leave(job, 1, 3, "shard 7 is damaged")
    assert (job.poll().status, job.poll().message.splitlines()[0]) == ("failed", "shard 7 is damaged")


def test_a_folder_without_a_job(tmp_path):
    with pytest.raises(InputError, match="no submitted job"):
        load_submitted(tmp_path)


@pytest.mark.parametrize(
    ("word", "fix"),
    [("TIMEOUT", "raise --time-min"), ("OUT_OF_MEMORY", "raise mem_gb_per_node"), ("NODE_FAIL", "node")],
)
def test_an_end_that_slurm_alone_knows_of_says_what_to_change(job, scheduler, word, fix):
    """A start that takes longer than the whole limit is never asked to stop: it is killed, and says nothing."""
    scheduler.seen = Seen("ended", word, 0, 10.0)
    job.poll()
    scheduler.now += 11
    assert f"{word}, as " in job.poll().message
    assert fix in job.poll().message
