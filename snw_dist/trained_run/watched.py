"""What a training job shows of itself to whoever follows it: where its checkpoints and its curves are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpc.curves import CurveFile, Wanted, Work

TRAINING = "snw_dist.train.run:run_training"
"""The entry point of a job that trains."""
EVALUATION = "snw_dist.evaluate.job:run_evaluation"
"""The entry point of a job that evaluates."""
METRICS = "metrics.jsonl"
_CURVES = (
    Wanted("train", "loss", "train", "loss"),
    Wanted("val", "loss", "validation", "loss"),
    Wanted("AUROC", "AUROC", "validation", "auroc"),
)


def work_of(entry_point: str, config: Mapping[str, Any], submitted_for: Path) -> Work | None:
    """Checkpoints and curves of a job that trains; None for any other.

    `submitted_for`: the run folder whose jobs this is one of. A run that was moved is found there; the jobs of a
    comparison train runs beside it.
    """
    if entry_point != TRAINING:
        return None
    run = config.get("run")
    name = run.get("name") if isinstance(run, Mapping) else None
    folder = submitted_for.parent / name if isinstance(name, str) else submitted_for
    return Work(folder / "checkpoints", CurveFile(folder / METRICS, _CURVES))
