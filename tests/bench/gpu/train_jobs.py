"""The job of the training part: the real one, in one arithmetic after another."""

from __future__ import annotations

import gc
import json
import time
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from hpc.job.runtime import Runtime
from snw_dist.train.feed import Feed
from snw_dist.train.plan import TrainPlan
from tests.bench.train_peers import WARM_UP

FOUND = "found.jsonl"


def ours(values: dict[str, Any], runtime: Runtime) -> None:
    """Job: one whole training after another; leaves the figures of each when it has ended."""
    linear = torch.nn.functional.linear
    for title, name, config in values["trainings"]:
        leave(runtime, title, name, clocked(config, runtime, values["steps"]))
        torch.nn.functional.linear = linear  # DeepSpeed's stage 3 leaves its own there
        gc.collect()


def clocked(config: dict[str, Any], runtime: Runtime, steps: int) -> dict[str, Any]:
    """A training by its own entry point, timed where it asks for the batches of a step; so any version can be timed.

    After the warm-up the same `steps` steps come again and again, each with the pairs that it had before. `seconds` is
    the first pass over them, `again_s` the further ones, `waited` what the first pass waited for data; `start_s` is
    all before the first step.
    """
    from snw_dist.train.run import run_training

    asked: list[float] = []
    waited: list[float] = []

    def pairs_of_step(plan: TrainPlan, step: int) -> Any:
        return real_pairs(plan, step if step < WARM_UP else WARM_UP + (step - WARM_UP) % steps)

    def next_batches(feed: Feed) -> Any:
        asked.append(time.perf_counter())
        batches = real_next(feed)
        waited.append(time.perf_counter() - asked[-1])
        return batches

    real_pairs, real_next = TrainPlan.pairs_of_step, Feed.__next__
    began = time.perf_counter()
    with (
        mock.patch.object(TrainPlan, "pairs_of_step", pairs_of_step),
        mock.patch.object(Feed, "__next__", next_batches),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("default")  # DeepSpeed's imports use what torch has deprecated
        run_training(config, runtime)
    passes = [asked[at] for at in range(WARM_UP, len(asked), steps)]
    took = [after - before for before, after in pairwise(passes)]
    return {
        "start_s": asked[0] - began,
        "first_step_s": asked[1] - asked[0],
        "seconds": took[0],
        "again_s": took[1:],
        "waited": sum(waited[WARM_UP : WARM_UP + steps]),
    }


def leave(runtime: Runtime, title: str, name: str, found: dict[str, Any]) -> None:
    """Add the figures of `name` on the input `title` to what the job has found."""
    with (Path(runtime.job_folder) / FOUND).open("a") as file:
        file.write(json.dumps({"input": title, "name": name, **found}) + "\n")
