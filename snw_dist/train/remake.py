"""The export of a run, made again from the best checkpoint where it was lost, damaged or is of other weights."""

from __future__ import annotations

import logging
import math
import re
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hpc.disk.json_lines import read_json_lines
from hpc.errors import CorruptError, InputError
from hpc.save.checkpoint import Checkpoint, checkpoint_name, verify_checkpoint
from snw_dist.config import Precision
from snw_dist.predict.export import verify_export
from snw_dist.predict.manifest import AGAIN, FIRST
from snw_dist.train.engine_settings import DTYPES
from snw_dist.train.portable import Piece, read_into
from snw_dist.train.progress import Progress

log = logging.getLogger(__name__)


def lost_export(run_folder: Path, progress: Progress) -> Checkpoint | None:
    """The checkpoint to make the export from again; None where the export is whole and of the best step.

    Raises `CorruptError` when the export is not, and that checkpoint is gone or damaged.
    """
    if progress.best_step is None:
        return None
    try:
        step = verify_export(run_folder / "export")[1]
        if step == progress.best_step:
            return None
        problem = f"{run_folder / 'export'}: holds the weights of step {step}, and step {progress.best_step} is best."
    except (InputError, CorruptError) as error:
        problem = re.split(f"{AGAIN}|{FIRST}", str(error))[0].strip()
    try:
        found = verify_checkpoint(run_folder / "checkpoints" / checkpoint_name(progress.best_step))
        best = found.meta.get("progress", {})
        if (best.get("best_step"), best.get("best_value")) != (progress.best_step, progress.best_value):
            raise CorruptError(f"{found.path}: of another validation than that which was best")
    except CorruptError as error:
        raise CorruptError(
            f"{problem} It cannot be made again, because the checkpoint of the best step is not there as it was: "
            f"{error}. Restore one of the two from a backup, or train anew under another run.name."
        ) from None
    log.warning("%s Made again from %s, without training", problem, found.path)
    return found


def weights_of(found: Checkpoint, network: nn.Module, precision: Precision) -> dict[str, torch.Tensor]:
    """What `Engine.full_weights` was at a checkpoint, read by one process into `network`, which is on the CPU.

    By name, each [...] of its parameter's shape. Raises `CorruptError` when it is the state of another network.
    """
    trained = {name: item for name, item in network.named_parameters() if item.requires_grad}
    state: Any = found.meta.get("state")
    try:
        shapes = {name: tuple(shape) for name, shape in state["parameters"].items()}
        num_files = int(state["num_files"])
    except (TypeError, KeyError, ValueError, AttributeError):
        raise CorruptError(f"{found.path}: does not say what it holds") from None
    if shapes != {name: tuple(item.shape) for name, item in trained.items()}:
        raise CorruptError(f"{found.path}: the state of another network")
    pieces = [Piece(name, 0, item.numel(), item, 0) for name, item in trained.items()]
    adam = torch.optim.AdamW(trained.values())  # whose moments are read too, and forgotten
    read_into(found.path, num_files, pieces, adam, 0)
    whole = {name: item.detach() for name, item in network.named_parameters()}
    rounded = DTYPES[precision]  # as training has them: what is not trained has no float32 master
    return {name: item if name in trained else item.to(rounded).float() for name, item in whole.items()}


def known(**values: Any) -> dict[str, float | None]:
    """Figures of a validation as an export says them: pairs of one kind have no AUROC, and JSON has no NaN."""
    return {
        name: value if isinstance(value, float) and math.isfinite(value) else None for name, value in values.items()
    }


def validation_at(metrics: Path, step: int) -> dict[str, float | None]:
    """What `metrics.jsonl` says of the validation after a step: loss and AUROC, or nothing."""
    found: dict[str, float | None] = {}
    if metrics.exists():
        for record in read_json_lines(metrics):
            if record.get("kind") == "validation" and record.get("step") == step:
                found = known(**{name: record.get(name) for name in ("auroc", "loss")})
    return found
