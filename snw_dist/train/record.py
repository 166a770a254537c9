"""What is written down of a run as it goes: `metrics.jsonl`, TensorBoard, and the figures beside the bar."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from hpc.disk.json_lines import JsonLines
from hpc.progress import ProgressFile
from snw_dist.train.saves import Committed
from snw_dist.train.tensorboard import TensorBoard
from snw_dist.trained_run.watched import METRICS


class Record:
    """Kept by rank 0; on other ranks nothing happens."""

    def __init__(self, folder: Path, rank: int, step: int, num_steps: int, bar: ProgressFile) -> None:
        """Of a job that goes on at `step` of `num_steps`: what an earlier one wrote of later steps is forgotten."""
        self._metrics = JsonLines(folder / METRICS) if rank == 0 else None
        if self._metrics is not None:
            self._metrics.truncate_after(step)
        self._tensorboard = TensorBoard(folder / "tensorboard", step, rank == 0)
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

    def forget_validation(self, step: int) -> None:
        """The validation after a step is about to be made again."""
        if self._metrics is not None:
            self._metrics.forget("validation", step)

    def log(self, kind: str, step: int, values: Mapping[str, float | None], seconds: float, num_pairs: int) -> None:
        """A step or a validation, and how long it took for how many pairs."""
        if self._metrics is not None:
            timing = {"seconds": seconds, "pairs_per_s": num_pairs / seconds}
            self._metrics.write({"kind": kind, "step": step, **values, **timing})
        self._tensorboard.add(kind, values, step)

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
        self._tensorboard.close()
