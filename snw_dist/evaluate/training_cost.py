"""What a trained network cost: how large it is, how long it was trained and on what."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

from torch import nn

from hpc.disk.json_lines import read_json_lines
from hpc.errors import CorruptError
from snw_dist.trained_run.watched import METRICS

_LARGEST = 1e12


@dataclasses.dataclass(frozen=True)
class Trained:
    """Of one run."""

    parameters: int
    """Numbers that the exported network holds."""
    training_s: float | None
    """Seconds of its steps and validations, see `training_seconds`."""
    device: str | None
    """Such as `NVIDIA H100 80GB HBM3` or `cpu x86_64`, of the start that made the export."""
    num_ranks: int | None


def trained(model: nn.Module, provenance: Mapping[str, Any], run_folder: Path) -> Trained:
    """Of the network of an export, with its provenance, and the run that made it."""
    device, name, ranks = (provenance.get(key) for key in ("device", "device_name", "num_ranks"))
    shown = f"cpu {name}" if device == "cpu" else name
    return Trained(
        sum(parameter.numel() for parameter in model.parameters()),
        training_seconds(run_folder / METRICS),
        shown if isinstance(shown, str) else None,
        ranks if isinstance(ranks, int) else None,
    )


def training_seconds(log: Path) -> float | None:
    """Seconds of all steps and validations in a `metrics.jsonl`, over all starts of the run; None where it has none.

    What a stop threw away, and starting up, is not in it: it is what the weights took. A step that was written twice
    counts as it was written last. It is no result, so a log that cannot be read spoils none.
    """
    seconds: dict[tuple[str, int], float] = {}
    try:
        for record in read_json_lines(log):
            kind, step, value = record.get("kind"), record.get("step"), record.get("seconds")
            if kind in ("train", "validation") and isinstance(step, int) and _is_time(value):
                seconds[kind, step] = float(value)
    except (CorruptError, OSError):
        return None
    return sum(seconds.values()) if seconds else None


def _is_time(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _LARGEST
