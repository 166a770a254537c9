"""What a checkpoint of training must agree with before it is taken up, and the position it holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hpc.errors import EnvironmentProblem, InputError
from snw_dist.config import SnwConfig

_MAY_CHANGE = ("device", "patience", "keep_last", "save_every", "zero_stage")


@dataclass
class Progress:
    """Where training stands; equal on all ranks, stored in the manifest of every checkpoint."""

    step: int = 0
    """Optimiser steps done: with the plan it names every pair seen, whatever the number of ranks."""
    best_value: float | None = None
    best_step: int | None = None
    worse_in_a_row: int = 0

    def record(self, value: float) -> bool:
        """Take note of a validation (higher is better); true when it is the best so far."""
        if self.best_value is not None and not value > self.best_value:
            self.worse_in_a_row += 1
            return False
        self.best_value, self.best_step, self.worse_in_a_row = value, self.step, 0
        return True


def trajectory(config: SnwConfig, data: Mapping[str, Any], store_digest: str, world_size: int) -> dict[str, Any]:
    """Everything that decides the weights of a run, as flat plain data: a resumed run must have the same."""
    train = {k: v for k, v in dataclasses.asdict(config.train).items() if k not in _MAY_CHANGE}
    model = dataclasses.asdict(config.model)
    facts = {f"train.{k}": v for k, v in train.items()} | {f"model.{k}": v for k, v in model.items()}
    facts |= {"run.seed": config.run.seed, "embedding store": store_digest}
    facts |= {f"input {name}": digest for name, digest in data.items()}
    return facts | {"number of ranks": world_size, "train.zero_stage": config.train.zero_stage}


def check_resumable(saved: Mapping[str, Any], present: Mapping[str, Any]) -> None:
    """Refuse to continue another run: raises `InputError`, or `EnvironmentProblem` for ranks and stage, with a diff."""
    differences = [key for key in present if saved.get(key) != present[key]]
    if not differences:
        return
    text = "; ".join(f"{key}: {saved.get(key)!r} then, {present[key]!r} now" for key in differences)
    if set(differences) <= {"number of ranks", "train.zero_stage"}:
        raise EnvironmentProblem(
            f"the checkpoint was written by another topology ({text}). Start with the same number of ranks and --zero, "
            "or give a new run.name."
        )
    raise InputError(
        f"the run folder holds checkpoints of another run ({text}). Give a new run.name, or the old values to continue."
    )
