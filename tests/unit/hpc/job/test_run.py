import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hpc.errors import EnvironmentProblem
from hpc.job.run import load_entry_point
from tests.kit import jobs
from tests.kit.ranks import REPOSITORY, run_ranks, small_disk, start_ranks


def test_entry_point_by_name() -> None:
    assert load_entry_point("tests.kit.jobs:nothing") is jobs.nothing
    for name in ("tests.kit.jobs:missing", "tests.missing:nothing", "tests.kit.jobs"):
        with pytest.raises(EnvironmentProblem, match="cannot be loaded"):
            load_entry_point(name)


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        ("input", 2, "the input is bad"),
        ("value", 1, "rank 0: ValueError: a defect"),
        ("thread", 4, "rank 0: no further process or thread can be started; the limit is "),
        ("exit", 1, "rank 0: SystemExit: 0"),
        ("disk", 3, "/a/table: could not be written: No space left on device; "),
        ("denied", 4, "/a/table: Permission denied. "),
    ],
)
def test_exit_code_and_outcome(tmp_path: Path, error: str, code: int, message: str) -> None:
    [done] = run_ranks("fail", 1, {"error": error}, tmp_path, env={"SLURM_RESTART_COUNT": "2"})
    assert done.returncode == code
    assert done.outcome.pop("message").startswith(message)
    assert done.outcome == {"exit_code": code, "restarts": 2}
    assert message in done.log
    assert ("Traceback" in done.log) == (code == 1)
    assert message in (tmp_path / "job" / "logs" / "rank_00000.log").read_text()


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"SUBMITIT_LOCAL_NTASKS": ""}, "submitit-local start without SUBMITIT_LOCAL_NTASKS"),
        ({"SLURM_RESTART_COUNT": "x"}, "SLURM_RESTART_COUNT"),
    ],
)
def test_bad_environment_ends_with_4(tmp_path: Path, environ: dict[str, str], message: str) -> None:
    [done] = run_ranks("nothing", 1, {}, tmp_path, env=environ)
    assert done.returncode == done.outcome["exit_code"] == 4
    assert message in done.outcome["message"]
    assert not (tmp_path / "job" / "started-rank0.json").exists()


def test_started_by_hand_without_any_launcher(tmp_path: Path) -> None:
    request = {
        "entry_point": "tests.kit.jobs:nothing",
        "config": {},
        "job_folder": str(tmp_path),
        "device": "cpu",
    }
    (tmp_path / "request.json").write_text(json.dumps(request))
    command = [sys.executable, "-W", "error", "-m", "hpc.job.run", str(tmp_path / "request.json")]
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SUBMITIT_"))}
    done = subprocess.run(command, cwd=REPOSITORY, env=environ, capture_output=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "outcome-rank0.json").read_text())["exit_code"] == 0


def test_the_time_limit_of_the_job_stops_it(tmp_path: Path) -> None:
    """A limit of a thousandth of a minute has passed when the job begins."""
    [done] = run_ranks("job_guard", 1, {}, tmp_path, time_min=0.001)
    assert done.returncode == done.outcome["exit_code"] == 75


def test_a_full_disk_ends_with_3_although_nothing_can_be_noted(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk, start_ranks("fill_disk", 1, {}, disk) as ranks:
        [done] = ranks.finish(60)
    assert done.returncode == 3, done.log
    assert "the checkpoint could not be written" in done.log


def test_a_second_start_forgets_the_outcome_of_the_first(tmp_path: Path) -> None:
    run_ranks("fail", 1, {"error": "input"}, tmp_path)
    with start_ranks("steps", 1, {}, tmp_path) as ranks:
        ranks.wait_for_files("running-rank0.json")
        assert not (tmp_path / "job" / "outcome-rank0.json").exists()
        ranks.send(signal.SIGTERM)
        [done] = ranks.finish()
    assert (done.returncode, done.outcome["message"]) == (75, "asked to stop; all is saved")
