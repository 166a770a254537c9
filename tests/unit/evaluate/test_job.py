"""An evaluation as a job: what the login node refuses, what the job does, and how it stops."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hpc.errors import CorruptError, InputError
from snw_dist.config import SnwConfig, config_to_dict
from snw_dist.evaluate.cost import evaluation_cost
from snw_dist.evaluate.report import read_metrics
from snw_dist.evaluate.run import check_evaluation, evaluate_run
from tests.kit.evaluate_tools import exported_run
from tests.kit.ranks import run_ranks
from tests.kit.tiny import configured, contents, launched


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
    assert "evaluate 1 / 1 sets of scores" in done.stdout
    table = here.stdout[here.stdout.index("split ") :]  # before it stands what took long
    shown = [line for line in table.splitlines() if not line.startswith("drawing the report: ")]  # how long it took
    assert [line for line in done.stdout.splitlines() if line in shown] == shown
    assert "evaluate-whole" in launched(tmp_path, "status").stdout
    config = configured(tmp_path, cluster__cluster="local")
    pairs = done.stdout.splitlines()[0].split()[0]
    assert f"{pairs} held-out pairs, {config.evaluate.bootstrap:,} draws of the bootstrap. How long" in done.stdout
    assert f"{pairs} held-out pairs, " in evaluation_cost(config)
    assert ". That of run whole took " in evaluation_cost(config)
    for other in ({"evaluate__bootstrap": 7}, {"cluster__profile": "other"}, {"model__dropout": 0.7}):
        assert "not known before" in evaluation_cost(configured(tmp_path, **{"cluster__cluster": "local"} | other))


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


def test_a_job_that_is_stopped_leaves_the_older_results(tmp_path: Path) -> None:
    config = exported_run(tmp_path)
    evaluate_run(config)
    before = contents(config.run_folder)
    values = config_to_dict(config)
    [rank] = run_ranks("tests.kit.damage_points:stopped_evaluation", 1, values, tmp_path / "log", timeout_s=50)
    assert rank.returncode == 75, rank.log
    assert "asked to stop before it was done" in (tmp_path / "log/job/outcome-rank0.json").read_text()
    assert contents(config.run_folder) == before


@pytest.mark.parametrize("content", [None, b"", b"{", b"[1]", b"\xff"])
def test_metrics_that_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "metrics.json").write_bytes(content)
    with pytest.raises(CorruptError, match=r"metrics\.json: .*Make it again: snw-dist evaluate"):
        read_metrics(tmp_path)
