"""What a training job says: where it begins, each validation, how it ended, what another length does."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snw_dist.config import TrainSection
from snw_dist.train.lines import (
    end_lines,
    new_schedule,
    nothing_to_do,
    place_in,
    reason_to_end,
    start_line,
    validation_line,
)
from snw_dist.train.plan import TrainPlan, learning_rate
from snw_dist.train.progress import Progress

FOLDER = Path("/runs/first")
RATE = partial(learning_rate, peak=1.0, warmup_steps=0, min_ratio=0.1)


def plan_of(epochs: int = 4, max_steps: int | None = None) -> TrainPlan:
    """Ten steps an epoch."""
    return TrainPlan(np.arange(100), 10, epochs, max_steps, 1, 1)


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (0, "step 0 of 40 (epoch 1 of 4)"),
        (10, "step 10 of 40 (epoch 1 of 4)"),
        (11, "step 11 of 40 (epoch 2 of 4)"),
        (40, "step 40 of 40 (epoch 4 of 4)"),
    ],
)
def test_where_a_run_is(step: int, text: str) -> None:
    assert place_in(plan_of(), step) == text
    assert start_line(plan_of(), step, FOLDER, FOLDER) == f"resuming at {text}, from checkpoint {FOLDER}"


def test_a_start_from_nothing() -> None:
    said = start_line(plan_of(), 0, None, FOLDER)
    assert said == f"no checkpoint in {FOLDER}: starting at step 0 of 40 (epoch 1 of 4), 100 pairs an epoch"


def test_a_validation_says_whether_it_is_the_best() -> None:
    plan, section, progress = plan_of(), TrainSection(patience=3), Progress(step=10)
    progress.record(0.8)
    assert validation_line(plan, progress, section, 0.5, 0.8).endswith("AUROC 0.8000, loss 0.5000, the best so far")
    progress.step = 20
    progress.record(0.7)
    said = validation_line(plan, progress, section, 0.6, 0.7)
    assert "best AUROC 0.8000 at step 10, 1 without a better one in a row (train.patience 3)" in said
    by_loss = Progress(step=20, best_value=-0.25, best_step=10)
    assert "best loss 0.2500 at step 10" in validation_line(plan, by_loss, TrainSection(monitor="loss"), 0.6, 0.7)
    assert "AUROC unknown" in validation_line(plan, by_loss, TrainSection(monitor="loss"), 0.6, float("nan"))
    assert "best none" in validation_line(plan, Progress(step=20), section, 0.6, float("nan"))


@pytest.mark.parametrize(
    ("plan", "progress", "reason", "way"),
    [
        (plan_of(), Progress(step=39), None, ""),
        (plan_of(), Progress(step=40), "all steps done (train.epochs 4)", "train.epochs=N"),
        (plan_of(4, 25), Progress(step=25), "all steps done (train.max_steps 25)", "train.max_steps=N"),
        (plan_of(4, 40), Progress(step=40), "all steps done (train.epochs 4)", "train.epochs=N"),
        (
            plan_of(),
            Progress(step=20, worse_in_a_row=2),
            "no better validation auroc in 2 validations (train.patience 2)",
            "train.patience=N",
        ),
    ],
)
def test_why_a_run_ends_and_how_it_is_trained_on(
    plan: TrainPlan, progress: Progress, reason: str | None, way: str
) -> None:
    assert reason_to_end(plan, progress, TrainSection(patience=2)) == reason
    if reason is not None:
        said = nothing_to_do(plan, progress.step, reason)
        assert said.startswith("nothing to do: finished before at step ")
        assert reason in said
        assert f"--set {way}" in said


def test_the_end_names_the_best_and_where_things_are() -> None:
    progress = Progress(step=40, best_value=0.9, best_step=30, skipped=2)
    said = "\n".join(end_lines(plan_of(), progress, TrainSection(), FOLDER, "all steps done", 185, 3.7))
    for part in (
        "finished at step 40 of 40 (epoch 4 of 4): all steps done; fp16 skipped 2 steps",
        "3 min 05 s, of which saves held training for 3.70 s (2.00 %)",
        "best validation: AUROC 0.9000 at step 30",
        "/runs/first/export",
        "/runs/first/checkpoints (best step_0000000030, last step_0000000040)",
    ):
        assert part in said
    none = "\n".join(end_lines(plan_of(), Progress(step=40), TrainSection(), FOLDER, "all steps done", 0, 0))
    assert "export" not in none
    assert "none, AUROC was never a number" in none


def then(**train: Any) -> dict[str, Any]:
    """The trajectory of a checkpoint, as it is read."""
    given = {"global_batch_size": 10, "epochs": 2, "max_steps": None} | train
    loaded: dict[str, Any] = json.loads(json.dumps({f"train.{key}": value for key, value in given.items()}))
    return loaded


def test_another_length_says_what_becomes_of_the_learning_rate() -> None:
    [said] = new_schedule(plan_of(), 20, then(), RATE)
    assert "the cosine is that of all 40 steps, before it was of 20: 0.1 at step 20, 0.532 at step 21" in said
    assert new_schedule(plan_of(), 20, then(epochs=4), RATE) == []
    assert new_schedule(plan_of(), 0, then(), RATE) == []
    assert new_schedule(plan_of(2), 20, then(epochs=4), RATE) == []  # no step is left
    assert "all 40 steps, before it was of 15" in new_schedule(plan_of(), 10, then(max_steps=15), RATE)[0]


@pytest.mark.parametrize("bad", [None, "x", -1, 0, True, 1.5, [1]])
@pytest.mark.parametrize("key", ["epochs", "global_batch_size", "max_steps"])
def test_a_checkpoint_that_holds_nonsense_is_no_error_here(key: str, bad: Any) -> None:
    if key != "max_steps" or bad is not None:
        assert new_schedule(plan_of(), 10, then(**{key: bad}), RATE) == []
