"""A run in MLflow: in the folder `mlflow` of the run folder, or where `MLFLOW_TRACKING_URI` points to.

MLflow from 3.17 on wants a database in place of a folder, unless it is told otherwise. A folder stays: it needs no
further package, and a database file on a file system of many nodes is asking for trouble. One job writes at a time.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient

from snw_dist.train.held_back import Points
from snw_dist.train.tracking import Settings

EXPERIMENT = "snw-dist"
_AT_ONCE, _PARAMS_AT_ONCE = 1000, 100


class MlflowRun:
    """A `TrackedRun`."""

    def __init__(self, folder: Path, name: str, settings: Settings, run_id: str | None) -> None:
        """Go on with a run, or begin one under this name."""
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        own = None if "MLFLOW_TRACKING_URI" in os.environ else (folder / "mlflow").as_uri()
        self._client = MlflowClient(tracking_uri=own)
        self.id = run_id or self._begun(name, settings)

    def send(self, points: Sequence[Points]) -> None:
        """Have them there for good."""
        metrics = [
            Metric(name, value, int(1000 * one.time_s), one.step)
            for one in points
            for name, value in one.values.items()
        ]
        for start in range(0, len(metrics), _AT_ONCE):
            self._client.log_batch(self.id, metrics[start : start + _AT_ONCE])

    def end(self, best: Mapping[str, float]) -> None:
        """The run is finished, with its best validation."""
        for name, value in best.items():
            self._client.log_metric(self.id, name, value)
        self._client.set_terminated(self.id)

    def close(self) -> None:
        """Nothing is open; a run that was not ended is still running, in its next job."""

    def _begun(self, name: str, settings: Settings) -> str:
        found = self._client.get_experiment_by_name(EXPERIMENT)
        experiment = self._client.create_experiment(EXPERIMENT) if found is None else found.experiment_id
        run_id: str = self._client.create_run(experiment, run_name=name).info.run_id
        params = [Param(key, str(value)) for key, value in settings.items()]
        for start in range(0, len(params), _PARAMS_AT_ONCE):
            self._client.log_batch(run_id, params=params[start : start + _PARAMS_AT_ONCE])
        return run_id
