import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hpc.errors import EnvironmentProblem, InputError
from hpc.executor import JobRequest, render_sbatch, resolve_cluster, submit
from hpc.profile import SiteProfile, load_profile
from hpc.strict import validated
from hpc.submitted import LocalProcess, Seen, SlurmJobs, SlurmQueue, SubmittedJob, load_submitted, process_started

REPOSITORY = Path(__file__).parents[3]
GOLDEN = """\
#!/bin/bash

# Parameters
#SBATCH --account=my_account
#SBATCH --constraint=a100
#SBATCH --cpus-per-task=16
#SBATCH --error='/runs/my run/logs/%j_0_log.err'
#SBATCH --gpus-per-node=4
#SBATCH --job-name=snw-train
#SBATCH --mem=480GB
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --open-mode=append
#SBATCH --output='/runs/my run/logs/%j_0_log.out'
#SBATCH --partition=gpu
#SBATCH --requeue
#SBATCH --signal=USR2@180
#SBATCH --time=720

# setup
module purge
export PYTHONPATH=REPOSITORY${PYTHONPATH:+:$PYTHONPATH}
# half of a task's processors
export OMP_NUM_THREADS=8
# it's slow; really
export EXTRA='a b $HOME'

# command
export SUBMITIT_EXECUTOR=slurm
srun --unbuffered --output '/runs/my run/logs/%j_%t_log.out' --error '/runs/my run/logs/%j_%t_log.err' \
--kill-on-bad-exit=1 --wait=0 --export=ALL --cpus-per-task=16 --mpi=pmi2 --cpu-bind=cores COMMAND
"""


def request(folder, **changes):
    values = {
        "name": "snw-train",
        "entry_point": "package.module:function",
        "config": {"a": 1},
        "folder": folder,
        "nodes": 2,
        "tasks_per_node": 4,
        "time_min": 720,
    }
    return JobRequest(**(values | changes))


# ---------------------------------------------------------------------------- what is asked for


def test_batch_script_is_as_recorded():
    site = {
        "partition": "gpu",
        "account": "my_account",
        "constraint": "a100",
        "gpus_per_node": 4,
        "cpus_per_task": 16,
        "mem_gb_per_node": 480,
        "signal_delay_s": 180,
        "mpi": "pmi2",
        "setup": ["module purge"],
        "environment": [
            {"name": "OMP_NUM_THREADS", "value": "8", "reason": "half of a task's processors"},
            {"name": "EXTRA", "value": "a b $HOME", "reason": "it's slow; really"},
        ],
        "srun_args": ["--cpu-bind=cores"],
    }
    text = render_sbatch(request(Path("/runs/my run")), validated(SiteProfile, site, "test"))
    assert text.replace(str(REPOSITORY), "REPOSITORY") == GOLDEN


def test_defaults_ask_for_nothing_special():
    text = render_sbatch(request(Path("/r")), SiteProfile())
    for absent in ("gpus", "mem", "partition", "account", "wckey", "mpi=pmi"):
        assert absent not in text.replace("kill-on", "")
    further = validated(SiteProfile, {"reservation": "day", "additional_parameters": {"exclusive": True}}, "test")
    text = render_sbatch(request(Path("/r")), further)
    assert "#SBATCH --reservation=day\n" in text
    assert "#SBATCH --exclusive\n" in text


@pytest.mark.parametrize(("time_min", "delay"), [(720, 120), (6, 120), (5, 100), (1, 20)])
def test_a_short_job_is_not_signalled_at_its_start(time_min, delay):
    text = render_sbatch(request(Path("/r"), time_min=time_min), SiteProfile())
    assert f"--signal=USR2@{delay}\n" in text


@pytest.mark.parametrize("name", ["a\ntouch pwned #", "a\x00", "a\x1b[2J", " ", ""])
def test_a_name_that_could_run_something_is_refused(name):
    with pytest.raises(InputError):
        request(Path("/r"), name=name)


@pytest.mark.parametrize(
    "changes",
    [
        {"entry_point": "m:f\n"},
        {"folder": Path("/r/a\nb")},
        {"folder": Path("/r/%u")},
        {"folder": Path("/r/a\\b")},
        {"nodes": 0},
        {"time_min": 0},
        {"config": {"a": object()}},
        {"config": {"a": float("nan")}},
    ],
)
def test_requests_that_cannot_be_submitted(changes):
    with pytest.raises(InputError):
        request(changes.pop("folder", Path("/r")), **changes)


def test_a_relative_folder_is_anchored_where_the_launcher_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert request(Path("runs")).folder == tmp_path / "runs"


# ---------------------------------------------------------------------------- which cluster


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Stands for Slurm's client programs: `programs("squeue", "shell code")`; nothing else is in PATH."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def write(name, code):
        path = folder / name
        path.write_text(f"#!/bin/sh\n{code}\n")
        path.chmod(0o755)

    return write


def test_local_needs_nothing_and_auto_without_slurm_is_local(programs, caplog):
    assert resolve_cluster("local") == "local"
    assert resolve_cluster("auto") == "local"
    assert not caplog.records
    with pytest.raises(EnvironmentProblem, match=r"srun, sbatch, scontrol not found.*--cluster local") as caught:
        resolve_cluster("slurm")
    assert caught.value.exit_code == 4


def test_programs_without_a_controller(programs, caplog):
    for name in ("srun", "sbatch"):
        programs(name, "exit 1")
    programs("scontrol", "echo 'scontrol: error: no config' >&2; echo 'cannot reach it' >&2; exit 1")
    assert resolve_cluster("auto") == "local"
    assert "cannot reach it" in caplog.text
    with pytest.raises(EnvironmentProblem, match=r"no controller answers \(cannot reach it\)"):
        resolve_cluster("slurm")
    programs("scontrol", "echo 'Slurmctld(primary) at a is DOWN'; echo 'Slurmctld(backup) at b is UP'")
    assert resolve_cluster("auto") == resolve_cluster("slurm") == "slurm"


def test_submission_to_slurm(tmp_path, monkeypatch, programs):
    monkeypatch.setenv("SLURM_PROCID", "3")
    monkeypatch.setenv("SLURM_CONF", "/etc/here.conf")
    monkeypatch.setenv("SBATCH_ACCOUNT", "mine")
    monkeypatch.setenv("SBATCH_NO_REQUEUE", "1")
    programs("srun", "exit 1")
    programs("sbatch", f'/usr/bin/env > {tmp_path}/env; echo "$@" > {tmp_path}/args; echo Submitted batch job 41')
    config = {"secret": "s3cret"}
    job = submit(request(tmp_path / "run", config=config), SiteProfile(), "slurm")

    assert (job.job_id, job.cluster, job.num_tasks) == ("41", "slurm", 8)
    assert job.job_folder.parent == tmp_path / "run" / "jobs"
    for private in (job.job_folder, job.job_folder.parent, tmp_path / "run" / "logs"):
        assert private.stat().st_mode & 0o777 == 0o700
    saved = json.loads((job.job_folder / "request.json").read_text())
    assert (saved["entry_point"], saved["config"]) == ("package.module:function", config)
    assert job.log_path(3, "out") == tmp_path / "run" / "logs" / "41_3_log.out"

    script = (tmp_path / "run" / "logs" / "41_submission.sh").read_text()
    assert f"{sys.executable} -u -P -m hpc.on_node {job.job_folder}\n" in script
    assert "s3cret" not in script
    environment = (tmp_path / "env").read_text()
    assert "SLURM_PROCID" not in environment
    assert "SBATCH_NO_REQUEUE" not in environment
    assert "SLURM_CONF=/etc/here.conf" in environment
    assert "SBATCH_ACCOUNT=mine" in environment
    assert os.environ["SLURM_PROCID"] == "3"

    assert not list((tmp_path / "run").rglob("*.pkl")), "nothing that would be unpickled"
    assert load_submitted(job.job_folder).job_id == "41"


def test_a_refused_submission_is_an_environment_problem(tmp_path, programs):
    programs("srun", "exit 1")
    programs("sbatch", "echo 'sbatch: error: invalid partition specified: gpu' >&2; exit 1")
    with pytest.raises(EnvironmentProblem, match="did not take the job: invalid partition specified: gpu"):
        submit(request(tmp_path), SiteProfile(), "slurm")


# ---------------------------------------------------------------------------- what has become of it


class Scheduler:
    def __init__(self):
        self.seen = Seen("pending")
        self.now = 0.0

    def look(self):
        return self.seen

    def clock(self):
        return self.now


@pytest.fixture
def scheduler():
    return Scheduler()


@pytest.fixture
def job(tmp_path, scheduler):
    return SubmittedJob("name", "41", "slurm", tmp_path, tmp_path, 2, scheduler, scheduler.clock)


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


# ---------------------------------------------------------------------------- on this machine, for real


ENTRY_POINTS = """
import os, signal, sys, time
from pathlib import Path

def good(config, runtime):
    rank = runtime.topology.rank
    text = f"{os.environ['GREETING']} {config['x']} of {runtime.topology.world_size}"
    (runtime.job_folder / f"here-{rank}").write_text(text)

def killed(config, runtime):
    (runtime.job_folder / f"pid-{runtime.topology.rank}").write_text(str(os.getpid()))
    print("about to die", file=sys.stderr, flush=True)
    if runtime.topology.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    while not runtime.guard.requested:
        time.sleep(0.05)
"""


@pytest.fixture
def entry_points(tmp_path, monkeypatch):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "entry_points.py").write_text(ENTRY_POINTS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "code"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    monkeypatch.setenv("SLURM_PROCID", "5")
    return "entry_points"


def wait(job, limit_s=60.0):
    end = time.monotonic() + limit_s
    while not (state := job.poll()).ended:
        assert time.monotonic() < end, state
        time.sleep(0.05)
    return state


def local_request(folder, function, **changes):
    return request(
        folder, entry_point=f"entry_points:{function}", config={"x": 1}, nodes=2, tasks_per_node=1, **changes
    )


def test_two_tasks_on_this_machine(tmp_path, entry_points):
    site = {"environment": [{"name": "GREETING", "value": "hello", "reason": "test"}]}
    job = submit(local_request(tmp_path / "run", "good"), validated(SiteProfile, site, "test"), "local")
    state = wait(job)
    assert (state.status, state.exit_code) == ("done", 0), state.message
    assert [(job.job_folder / f"here-{rank}").read_text() for rank in range(2)] == ["hello 1 of 2"] * 2
    assert job.log_path(1, "out").exists()
    assert job.log_folder.stat().st_mode & 0o777 == 0o700
    again = load_submitted(job.job_folder)
    assert wait(again).status == "done"


def test_a_killed_task_takes_the_others_with_it(tmp_path, entry_points):
    job = submit(local_request(tmp_path / "run", "killed"), SiteProfile(), "local")
    state = wait(job)
    assert state.status == "failed"
    assert "rank 1" in state.message
    for rank in range(2):
        assert process_started(int((job.job_folder / f"pid-{rank}").read_text())) is None


# The process that runs the tasks, without the seconds that a real rank needs to start.


def start_tasks(folder, code, num_tasks=2):
    folder.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "hpc.local_tasks", str(folder)],
        env=os.environ
        | {
            "PYTHONPATH": str(REPOSITORY),
            "SUBMITIT_LOCAL_COMMAND": f"{sys.executable} -S -c '{code}' {folder}",
            "SUBMITIT_LOCAL_NTASKS": str(num_tasks),
        },
        start_new_session=True,
    )
    return process, LocalProcess(process.pid, folder, process, process_started(process.pid))


WAITING = """
import os, signal, sys, time
rank = os.environ["SUBMITIT_LOCAL_GLOBALID"]
def note(number, frame):
    open(sys.argv[1] + f"/signal-{rank}-{number}", "w").close()
    if number == signal.SIGTERM: sys.exit(75)
signal.signal(signal.SIGUSR2, note)
signal.signal(signal.SIGTERM, note)
open(sys.argv[1] + "/ready-" + rank, "w").write(str(os.getpid()))
while True: time.sleep(0.02)
"""


def until(condition, limit_s=20.0):
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_signals_reach_every_task(tmp_path):
    process, scheduler = start_tasks(tmp_path, WAITING)
    with process:
        until(lambda: len(list(tmp_path.glob("ready-*"))) == 2)
        process.send_signal(signal.SIGUSR2)
        until(lambda: len(list(tmp_path.glob(f"signal-*-{signal.SIGUSR2}"))) == 2)
        assert scheduler.look().phase == "running"
        scheduler.stop()
        assert process.wait(timeout=20) == 1
    assert len(list(tmp_path.glob(f"signal-*-{signal.SIGTERM}"))) == 2
    assert json.loads((tmp_path / "exit_codes.json").read_text()) == [75, 75]
    assert scheduler.look().word == "rank 0 ended with exit code 75, rank 1 ended with exit code 75"
    scheduler.stop()
    scheduler.kill()


DEAF_AT_FIRST = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda number, frame: None)
open(sys.argv[1] + "/ready-" + os.environ["SUBMITIT_LOCAL_GLOBALID"], "w").close()
time.sleep(1)
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(75))
while True: time.sleep(0.02)
"""


def test_a_task_that_was_still_starting_is_asked_again(tmp_path):
    process, scheduler = start_tasks(tmp_path, DEAF_AT_FIRST)
    with process:
        until(lambda: len(list(tmp_path.glob("ready-*"))) == 2)
        scheduler.stop()
        assert process.wait(timeout=20) == 1
    assert json.loads((tmp_path / "exit_codes.json").read_text()) == [75, 75]


def test_kill_leaves_no_task_behind(tmp_path):
    process, scheduler = start_tasks(tmp_path, WAITING)
    with process:
        until(lambda: len(list(tmp_path.glob("ready-*"))) == 2)
        until(lambda: all(path.read_text() for path in tmp_path.glob("ready-*")))
        pids = [int(path.read_text()) for path in tmp_path.glob("ready-*")]
        scheduler.kill()
        process.wait(timeout=20)
    until(lambda: all(process_started(pid) is None for pid in pids))
    assert scheduler.look().word == "the process that runs the tasks was killed"


def test_exit_codes_in_words(tmp_path):
    code = 'import os; os.kill(os.getpid(), 9) if os.environ["SUBMITIT_LOCAL_LOCALID"] == "1" else os._exit(4)'
    process, scheduler = start_tasks(tmp_path, code)
    with process:
        process.wait(timeout=20)
    assert scheduler.look().word == "rank 0 ended with exit code 4, rank 1 was ended by SIGKILL"


def test_the_development_cluster_profile_renders():
    profile = load_profile("devcluster", REPOSITORY / "slurm" / "profiles")
    assert "export OMP_NUM_THREADS=1" in render_sbatch(request(Path("/r")), profile)
