import json

import pytest

from hpc.submit.schedulers import SlurmJobs, SlurmQueue


def columns(state, restarts, reason, array="41", task="N/A"):
    return f"echo '{array:<20}{task:<20}{state:<30}{restarts:<10}{reason:<60}'"


@pytest.mark.parametrize(
    ("squeue", "sacct", "seen"),
    [
        (columns("PENDING", 0, "Resources"), "exit 1", ("pending", "Resources", 0)),
        (columns("PENDING", 2, "BeginTime"), "exit 1", ("pending", "BeginTime", 2)),
        (columns("RUNNING", 1, "None"), "exit 1", ("running", "", 1)),
        (columns("COMPLETING", 0, "None"), "exit 1", ("running", "completing", 0)),
        (columns("REQUEUE_HOLD", 1, "None"), "exit 1", ("pending", "", 1)),
        (columns("NODE_FAIL", 0, "None"), "exit 1", ("ended", "NODE_FAIL", 0)),
        ("exit 0", "echo COMPLETED", ("ended", "COMPLETED", 0)),
        (
            "echo 'Invalid job id specified' >&2; exit 1",
            "echo 'CANCELLED by 1000'",
            ("ended", "CANCELLED", 0),
        ),
        (columns("CANCELLED", 0, "None"), "echo 'CANCELLED by 0'", ("ended", "CANCELLED", 0)),
        ("echo 'Invalid job id specified' >&2; exit 1", "exit 1", ("ended", "gone from the queue", 0)),
        (
            "echo 'Unable to contact' >&2; exit 1",
            "echo FAILED",
            ("pending", "the controller does not answer", 0),
        ),
    ],
)
def test_slurm_is_understood(programs, squeue, sacct, seen):
    programs("squeue", squeue)
    programs("sacct", sacct)
    found = SlurmJobs("41").look()
    assert (found.phase, found.word, found.restarts) == seen


def test_the_tasks_of_an_array_are_asked_for_together(programs, scheduler, tmp_path):
    asked = tmp_path / "asked"
    lines = [columns("RUNNING", 0, "None", task="0"), columns("PENDING", 1, "BeginTime", task="1")]
    programs("squeue", f"echo x >> {asked}; " + "; ".join(lines))
    programs("sacct", "echo COMPLETED")
    queue = SlurmQueue("41", scheduler.clock)
    tasks = [SlurmJobs(f"41_{task}", queue) for task in range(3)]
    found = [task.look() for task in tasks]
    assert [(seen.phase, seen.word, seen.restarts) for seen in found] == [
        ("running", "", 0),
        ("pending", "BeginTime", 1),
        ("ended", "COMPLETED", 0),  # squeue has forgotten it
    ]
    assert asked.read_text().count("x") == 1


def test_slurm_is_asked_rarely(programs, scheduler):
    programs("squeue", columns("RUNNING", 0, "None"))
    jobs = SlurmJobs("41", SlurmQueue("41", scheduler.clock))
    assert jobs.look().phase == "running"
    programs("squeue", columns("COMPLETED", 0, "None"))
    scheduler.now += 1
    assert jobs.look().phase == "running"
    scheduler.now += 3
    assert jobs.look().phase == "ended"


def test_a_requeue_is_seen_while_the_old_attempt_ends(programs, scheduler, job):
    job._scheduler = SlurmJobs("41", SlurmQueue("41", scheduler.clock))

    def poll(state, restarts):
        programs("squeue", columns(state, restarts, "None"))
        scheduler.now += 4
        found = job.poll()
        return found.status, found.attempt

    assert poll("RUNNING", 0) == ("running", 1)
    leave(job, 0, 0, "done", restarts=0)
    leave(job, 1, 0, "done", restarts=0)
    assert poll("COMPLETING", 1) == ("requeued", 2)
    assert poll("PENDING", 1) == ("requeued", 2)
    assert poll("RUNNING", 1) == ("running", 2)  # these words are of the first attempt
    leave(job, 0, 0, "done", restarts=1)
    leave(job, 1, 0, "done", restarts=1)
    assert poll("RUNNING", 1) == ("done", 2)


def test_who_has_cancelled_is_told(programs):
    programs("squeue", columns("CANCELLED", 0, "None"))
    for said, by in (("CANCELLED by 0", "by root"), ("CANCELLED by 99999999", "by user 99999999"), ("CANCELLED", "")):
        programs("sacct", f"echo '{said}'")
        assert SlurmJobs("41").look().by == by
    programs("sacct", "exit 1")
    assert SlurmJobs("41").look().by == ""


def leave(job, rank, code, message, **more):
    outcome = {"exit_code": code, "message": message} | more
    (job.job_folder / f"outcome-rank{rank}.json").write_text(json.dumps(outcome))
