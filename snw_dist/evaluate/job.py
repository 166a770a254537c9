"""The evaluation as a job of one rank: the same work as on the submitting machine, in a thread that a stop ends.

Nothing of an evaluation is kept until all of it is published at once, so one that was stopped begins again.
"""

from __future__ import annotations

import time
from typing import Any

from hpc.background import Background
from hpc.errors import InputError, Preempted
from hpc.runtime import Runtime
from snw_dist.config import config_from_dict
from snw_dist.evaluate.run import evaluate_run

_LOOK_S = 0.5
_TRIES = 3
"""So many starts may end near their time limit before it is said that the limit is too short."""


def run_evaluation(values: dict[str, Any], runtime: Runtime) -> None:
    """Entry point: evaluate the export of a run."""
    _evaluate(values, runtime, allow_changes=False)


def run_evaluation_of_changed(values: dict[str, Any], runtime: Runtime) -> None:
    """Entry point: the same on other data than trained on, without the pairs that were."""
    _evaluate(values, runtime, allow_changes=True)


def _evaluate(values: dict[str, Any], runtime: Runtime, allow_changes: bool) -> None:
    if runtime.topology.world_size > 1:
        raise InputError(f"an evaluation is one process, not {runtime.topology.world_size}: use --nodes 1")
    config, started = config_from_dict(values), time.monotonic()

    def measured(done: int, total: int) -> None:
        runtime.progress.update("evaluate", done, total, "sets of scores", force=True)

    work = Background(lambda: evaluate_run(config, allow_changes, measured), "evaluation")
    while work.wait(_LOOK_S):
        if runtime.guard.should_stop():
            _stop(runtime, time.monotonic() - started)
    work.result()


def _stop(runtime: Runtime, lasted_s: float) -> None:
    """Ask for another start, unless it would end like those before: at a limit that is too short for the whole."""
    limit_s, starts = runtime.time_limit_s, int(runtime.attempt.rpartition("-")[2]) + 1
    if limit_s is not None and starts >= _TRIES and lasted_s > limit_s / 2:
        raise InputError(
            f"the evaluation was not done within {limit_s / 60:.0f} min in {starts} starts, and each begins from "
            "nothing: raise --time-min, or leave out what takes long, such as "
            '--set \'evaluate.controls=["degree", "neighbour"]\''
        )
    raise Preempted("asked to stop before it was done; nothing is written, and the next start begins again")
