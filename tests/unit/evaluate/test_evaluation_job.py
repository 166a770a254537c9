"""An evaluation as a job: what the login node refuses, what the job does, and how it stops."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hpc.errors import InputError, Preempted
from snw_dist.config import SnwConfig, config_to_dict
from snw_dist.evaluate import job
from snw_dist.evaluate.run import check_evaluation
from tests.tiny import launched
from tests.unit.evaluate.test_whole_evaluation import exported_run


def _written(config: SnwConfig, folder: Path) -> Path:
    (folder / "SNW_config.json").write_text(json.dumps(config_to_dict(config)))
    return config.run_folder


def test_the_job_leaves_what_the_command_leaves(tmp_path: Path) -> None:
    run = _written(exported_run(tmp_path), tmp_path)
    here = launched(tmp_path, "evaluate")
    assert here.returncode == 0, here.stderr
    metrics = (run / "evaluation" / "metrics.json").read_bytes()
    (run / "evaluation" / "metrics.json").unlink()
    done = launched(tmp_path, "evaluate", "--nodes", "1", "--cluster", "local")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (run / "evaluation" / "metrics.json").read_bytes() == metrics
    assert "evaluate 1/1 sets of scores" in done.stdout
    assert here.stdout in done.stdout
    assert "evaluate-whole" in launched(tmp_path, "status").stdout


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["--nodes", "2"], "--nodes 2: an evaluation is one process. Use --nodes 1"),
        (["--detach"], "--detach: only for an evaluation that is a job. Add --nodes 1."),
        (["--cluster", "local", "--time-min", "5"], "--cluster, --time-min: only for"),
        (["--nodes", "1", "--cluster", "local"], "there is no trained model"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_submitted(tmp_path: Path, options: list[str], wanted: str) -> None:
    config = exported_run(tmp_path)
    run = _written(config, tmp_path)
    (run / "export").rename(tmp_path / "away")
    done = launched(tmp_path, "evaluate", *options)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert wanted in done.stderr
    assert not (run / "jobs").exists()


def test_a_store_of_another_encoder_is_refused_before_submission(tmp_path: Path) -> None:
    config = exported_run(tmp_path)
    check_evaluation(config)
    config.store_path.rename(tmp_path / "away")
    with pytest.raises(InputError, match="store"):
        check_evaluation(config)


def _stopped(attempt: str, limit_s: float | None, monkeypatch: pytest.MonkeyPatch, lasts_s: float = 0.3) -> None:
    runtime: Any = SimpleNamespace(
        topology=SimpleNamespace(world_size=1),
        guard=SimpleNamespace(should_stop=lambda: True),
        attempt=attempt,
        time_limit_s=limit_s,
    )
    monkeypatch.setattr(job, "_LOOK_S", lasts_s)
    monkeypatch.setattr(job, "evaluate_run", lambda *_: time.sleep(2.0))
    monkeypatch.setattr(job, "config_from_dict", dict)
    job.run_evaluation({}, runtime)


@pytest.mark.parametrize(("attempt", "limit_s"), [("3-0", 0.4), ("3-5", None), ("3-5", 100.0), ("3-1", 0.4)])
def test_a_stop_asks_for_another_start(attempt: str, limit_s: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Preempted, match="begins again"):
        _stopped(attempt, limit_s, monkeypatch)


def test_a_limit_that_is_too_short_does_not_requeue_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"in 3 starts.*raise --time-min"):
        _stopped("3-2", 0.4, monkeypatch)
