"""What is asked of a cluster, which cluster that is, and how a refusal ends."""

import json
import os
import sys
from pathlib import Path

import pytest

from hpc.disk.strict import validated
from hpc.errors import EnvironmentProblem, InputError
from hpc.job.profile import SiteProfile, load_profile
from hpc.submit.executor import resolve_cluster, submit
from hpc.submit.sbatch import render_sbatch
from hpc.submit.site_setup import setup_lines
from hpc.submit.submitted import load_submitted
from tests.kit.submit_tools import request

REPOSITORY = Path(__file__).parents[4]
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
SETUP
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
    setup = setup_lines(["module purge"], Path("FOLDER"))
    text = render_sbatch(request(Path("/runs/my run")), validated(SiteProfile, site, "test"))
    assert text.replace(str(REPOSITORY), "REPOSITORY") == GOLDEN.replace("SETUP", "\n".join(setup))


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
    assert f"{sys.executable} -u -P -m hpc.job.on_node {job.job_folder}\n" in script
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


def test_the_development_cluster_profile_renders():
    profile = load_profile("devcluster", REPOSITORY / "slurm" / "profiles")
    assert "export OMP_NUM_THREADS=1" in render_sbatch(request(Path("/r")), profile)
