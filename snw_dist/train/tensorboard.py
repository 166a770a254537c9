"""Training curves, scores and vectors for TensorBoard, written by rank 0; a resumed run hides what it repeats.

Validations have a folder of their own, `validation`: one may be made again at a step whose training is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch.utils.tensorboard import SummaryWriter

from snw_dist.arrays import BoolArray, FloatArray
from snw_dist.train.inputs import Inputs
from snw_dist.train.projected import projected
from snw_dist.train.tracking import Settings

VALIDATION = "validation"


class TensorBoard:
    """A `Tracker`: scalars under `kind/name`, scores of each validation, and how the run compares with others."""

    def __init__(self, folder: Path, step: int, settings: Settings) -> None:
        """Of a job that goes on at `step`: TensorBoard forgets what an earlier one wrote of later steps."""
        self._folder, self._settings = folder, settings
        self._train = SummaryWriter(str(folder), purge_step=step + 1)
        self._validation: SummaryWriter | None = None
        self._first_validation = step + 1

    def add(self, kind: str, values: Mapping[str, float | None], step: int) -> None:
        """Add the values that are known."""
        writer = self._of_validations() if kind == VALIDATION else self._train
        for name, value in values.items():
            if value is not None:
                writer.add_scalar(f"{kind}/{name}", value, step)

    def scores(self, scores: FloatArray, positive: BoolArray, step: int) -> None:
        """Histograms of the scores of positives and of negatives, and the PR curve; [num_pairs] each."""
        writer = self._of_validations()
        for name, chosen in (("positive", positive), ("negative", ~positive)):
            if chosen.any():
                writer.add_histogram(f"{VALIDATION}/scores_of_{name}s", scores[chosen], step)
        if positive.any():
            writer.add_pr_curve(f"{VALIDATION}/pr_curve", positive, scores, step)

    def forget_validation(self, step: int) -> None:
        """The validation after this step is about to be made again."""
        self._first_validation = step

    def committed(self, step: int) -> None:
        """What was added is in the files from here on: a process that is killed later takes none of it along."""
        for writer in self._open():
            writer.flush()

    def end(self, best: Mapping[str, float], inputs: Inputs, step: int) -> None:
        """Settings and best validation, by which runs are compared (HPARAMS), and vectors for the PROJECTOR."""
        self._train.add_hparams(dict(self._settings), dict(best), run_name=".", global_step=step)  # this very run
        vectors = projected(inputs)
        if vectors is not None and not (self._folder / f"{step:05}").exists():
            rows = torch.from_numpy(vectors.vectors)
            self._train.add_embedding(rows, vectors.rows, global_step=step, metadata_header=list(vectors.columns))

    def close(self) -> None:
        """Write what is buffered."""
        for writer in self._open():
            writer.close()

    def _open(self) -> list[SummaryWriter]:
        return [self._train, *([] if self._validation is None else [self._validation])]

    def _of_validations(self) -> SummaryWriter:
        if self._validation is None:
            self._validation = SummaryWriter(str(self._folder / VALIDATION), purge_step=self._first_validation)
        return self._validation
