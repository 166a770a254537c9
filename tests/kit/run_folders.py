"""Run folders as training leaves them, without a training: what the commands that look at runs need."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from snw_dist.trained_run.folder import Finished, write_finished
from tests.kit.retention_tools import save


def finished_run(run: Path, *steps: int, best: int, keep_every: int = 0, **train: Any) -> Path:
    """A run that has finished at the last of `steps`, with a checkpoint of each, an export and its settings."""
    (run / "export").mkdir(parents=True)
    (run / "export" / "model.safetensors").write_bytes(b"weights")
    settings = {"run": {"name": run.name}, "train": {"keep_every": keep_every, **train}, "model": {"name": "siamese"}}
    (run / "config.json").write_text(json.dumps(settings))
    for step in steps:
        save(run / "checkpoints", step)
    write_finished(run, Finished("all steps done", steps[-1], {"step": best, "auroc": 0.9094}, {}, ["ab" * 32]))
    return run
