"""The evaluation as a job of one rank: the same work as on the submitting machine, in a thread that a stop ends.

Nothing of an evaluation is kept until all of it is published at once, so one that was stopped begins again.
"""

from __future__ import annotations

import time
from typing import Any

from hpc.errors import InputError, Preempted
from hpc.job.runtime import Runtime
from hpc.ranks.background import Background
from snw_dist.config import config_from_dict
from snw_dist.evaluate.cost import TOOK
from snw_dist.evaluate.run import evaluate_run

_LOOK_S = 0.5


def run_evaluation(values: dict[str, Any], runtime: Runtime) -> None:
    """Entry point: evaluate the export of a run.

    Raises `InputError` for more than one rank, and `Preempted` when asked to stop.
    """
    if runtime.topology.world_size > 1:
        raise InputError(f"an evaluation is one process, not {runtime.topology.world_size}: use --nodes 1")
    config = config_from_dict(values)

    started, sets = time.monotonic(), [0, 0]

    def measured(done: int, total: int) -> None:
        sets[:] = done, total
        took = {TOOK: time.monotonic() - started}
        runtime.progress.update("evaluate", done, total, "sets of scores", force=True, **took)

    work = Background(lambda: evaluate_run(config, measured), "evaluation")
    while work.wait(_LOOK_S):
        if runtime.guard.should_stop():
            raise Preempted("asked to stop before it was done; nothing is written, and the next start begins again")
    work.result()
    measured(*sets)  # now with the time of all
