"""Where training stands, and which validation is the best."""

from __future__ import annotations

import dataclasses
import json

from snw_dist.train.progress import Progress


def test_a_best_that_begins_anew_is_that_of_this_step() -> None:
    progress = Progress(step=7, best_value=0.8, best_step=6, worse_in_a_row=1)
    progress.begin_anew()
    assert progress == Progress(step=7, unvalidated=True)
    assert progress.record(-0.3)
    assert (progress.best_value, progress.best_step) == (-0.3, 7)


def test_progress_keeps_the_best() -> None:
    progress = Progress()
    outcomes = []
    for step, value in enumerate([0.5, 0.5, 0.4, 0.6, float("nan"), 0.7, 0.1], start=1):
        progress.step = step
        outcomes.append(progress.record(value))
    assert outcomes == [True, False, False, True, False, True, False]
    assert progress == Progress(step=7, best_value=0.7, best_step=6, worse_in_a_row=1)
    assert Progress(**json.loads(json.dumps(dataclasses.asdict(progress)))) == progress
