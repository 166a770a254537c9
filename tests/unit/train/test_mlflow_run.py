"""The real MLflow, writing to the folder of a run that is stopped and gone on with."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import pytest
from mlflow.tracking import MlflowClient

from snw_dist.config import config_from_dict
from snw_dist.train.record import trackers_of
from snw_dist.train.tracking import Tracker


def tracker_of(folder: Path, step: int) -> Tracker:
    """What `train.tracker` names, alone."""
    config = config_from_dict({"run": {"folder": str(folder), "name": "first"}, "train": {"tracker": "mlflow"}})
    config.run_folder.mkdir(exist_ok=True)
    return trackers_of(config, step)._trackers["mlflow"]


def test_two_jobs_are_one_run_with_every_step_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # ours sets it too; taken back after the test
    first = tracker_of(tmp_path, 0)
    for step in range(1, 6):
        first.add("train", {"loss": 1.0 / step, "gradient_norm": None}, step)
    first.committed(3)
    first.close()
    client = MlflowClient(tracking_uri=(tmp_path / "first" / "mlflow").as_uri())
    experiment = client.get_experiment_by_name("snw-dist")
    [run] = client.search_runs([experiment.experiment_id])
    assert run.info.status == "RUNNING"  # it was only stopped
    second = tracker_of(tmp_path, 3)
    for step in range(4, 7):
        second.add("train", {"loss": 2.0 / step}, step)
    second.add("validation", {"auroc": 0.75}, 6)
    second.committed(6)
    second.end({"best/auroc": 0.75}, mock.Mock(), 6)
    second.close()
    [run] = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("first", "FINISHED")
    assert run.data.params["model.name"] == "pseudo_siamese"
    assert run.data.params["train.learning_rate"] == "0.001"
    assert run.data.metrics == {"train/loss": pytest.approx(1 / 3), "validation/auroc": 0.75, "best/auroc": 0.75}
    history = sorted((metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, "train/loss"))
    assert history == [(1, 1.0), (2, 0.5), (3, pytest.approx(1 / 3)), (4, 0.5), (5, 0.4), (6, pytest.approx(1 / 3))]
