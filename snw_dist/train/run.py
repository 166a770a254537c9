"""The entry point of the training job."""

from __future__ import annotations

from typing import Any

from hpc.job.runtime import Runtime
from snw_dist.config import config_from_dict
from snw_dist.train.build import build_training
from snw_dist.train.loop import train


def run_training(values: dict[str, Any], runtime: Runtime) -> None:
    """Train a network; started again, it goes on from the newest checkpoint that verifies."""
    with build_training(config_from_dict(values), runtime) as run:
        train(run)
