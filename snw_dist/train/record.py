"""What is written down of a run as it goes: `metrics.jsonl`, trackers, and the figures beside the bar."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hpc.disk.json_lines import JsonLines
from hpc.progress import ProgressFile
from snw_dist.arrays import BoolArray, FloatArray
from snw_dist.config import SnwConfig, TrackerName
from snw_dist.train.held_back import HeldBack, TrackedRun
from snw_dist.train.inputs import Inputs
from snw_dist.train.saves import Committed
from snw_dist.train.tensorboard import TensorBoard
from snw_dist.train.tracking import Settings, Tracker, Trackers, settings_of
from snw_dist.trained_run.watched import METRICS


class Record:
    """Kept by rank 0; on other ranks nothing happens."""

    def __init__(
        self, folder: Path, rank: int, step: int, num_steps: int, bar: ProgressFile, trackers: Trackers | None = None
    ) -> None:
        """Of a job that goes on at `step` of `num_steps`: what an earlier one wrote of later steps is forgotten."""
        self._metrics = JsonLines(folder / METRICS) if rank == 0 else None
        if self._metrics is not None:
            self._metrics.truncate_after(step)
        self._trackers, self._anything = trackers or Trackers({}), False
        self._bar, self._num_steps = bar, num_steps
        self._figures: dict[str, float] = {}
        self._scores: dict[str, float] = {}

    def changes(self, step: int, changes: Sequence[str]) -> None:
        """The job goes on with other settings than before."""
        if self._metrics is not None:
            self._metrics.forget("changed", step)  # by a job that ended before its first save
            self._metrics.write({"kind": "changed", "step": step, "changes": list(changes)})

    def save(self, committed: Committed) -> None:
        """A checkpoint is there; it may be of an earlier step."""
        if self._metrics is not None:
            self._metrics.write({"kind": "save", **dataclasses.asdict(committed)})
        self._trackers.each(lambda tracker: tracker.committed(committed.step))

    def forget_validation(self, step: int) -> None:
        """The validation after a step is about to be made again."""
        if self._metrics is not None:
            self._metrics.forget("validation", step)
        self._trackers.each(lambda tracker: tracker.forget_validation(step))

    def log(self, kind: str, step: int, values: Mapping[str, float | None], seconds: float, num_pairs: int) -> None:
        """A step or a validation, and how long it took for how many pairs."""
        if self._metrics is not None:
            timing = {"seconds": seconds, "pairs_per_s": num_pairs / seconds}
            self._metrics.write({"kind": kind, "step": step, **values, **timing})
        self._anything = True
        self._trackers.each(lambda tracker: tracker.add(kind, values, step))

    def scores(self, step: int, scores: FloatArray, positive: BoolArray) -> None:
        """Scores of all pairs of a validation, and which are positive: [num_pairs] each."""
        self._trackers.each(lambda tracker: tracker.scores(scores, positive, step))

    def end(self, step: int, best: Mapping[str, float], inputs: Inputs) -> None:
        """Training has ended at this step, if this job has trained at all; see `Tracker`."""
        if self._anything:
            self._trackers.each(lambda tracker: tracker.end(best, inputs, step))

    def show_step(self, step: int, skipped: int, loss: float, figures: Mapping[str, float]) -> None:
        """For whoever follows the job: the last step, with the last validation."""
        self._figures = {**({"skipped": skipped} if skipped else {}), "loss": loss, **self._scores, **figures}
        self._show(step, force=False)

    def show_validation(self, step: int, scores: Mapping[str, float]) -> None:
        """Likewise: the last validation and the best."""
        self._scores = dict(scores)
        self._show(step, force=True)

    def _show(self, step: int, force: bool) -> None:
        if self._metrics is not None:
            figures = self._figures | self._scores
            self._bar.update("train", step, self._num_steps, "steps", force=force, **figures)

    def close(self) -> None:
        """Write what is buffered; nothing can be written down after it."""
        if self._metrics is not None:
            self._metrics.close()
        trackers, self._trackers = self._trackers, Trackers({})  # closing twice does nothing
        trackers.each(lambda tracker: tracker.close())


def trackers_of(config: SnwConfig, step: int) -> Trackers:
    """TensorBoard, and what `train.tracker` names, of a job that goes on at `step`; for rank 0."""
    folder, settings = config.run_folder, settings_of(config)
    makers: dict[str, Callable[[], Tracker]] = {
        "TensorBoard": lambda: TensorBoard(folder / "tensorboard", step, settings)
    }
    named = config.train.tracker
    if named is not None:
        makers[named] = lambda: HeldBack(named, folder, lambda run_id: _opened(named, config, settings, run_id))
    return Trackers(makers)


def _opened(named: TrackerName, config: SnwConfig, settings: Settings, run_id: str | None) -> TrackedRun:
    """Imported here: who names none does without these packages."""
    arguments = config.run_folder, config.run.name, settings, run_id
    if named == "mlflow":
        from snw_dist.train.mlflow_run import MlflowRun

        return MlflowRun(*arguments)
    from snw_dist.train.wandb_run import WandbRun

    return WandbRun(*arguments)
