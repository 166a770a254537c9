"""A run in Weights & Biases, offline: in the folder `wandb` of the run folder, to be sent by `wandb sync`.

Each job leaves a folder of its own. All have the same id, so `wandb sync` makes one run of them, in order of time.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import wandb

from snw_dist.train.held_back import Points
from snw_dist.train.tracking import Settings

PROJECT = "snw-dist"


class WandbRun:
    """A `TrackedRun`."""

    def __init__(self, folder: Path, name: str, settings: Settings, run_id: str | None) -> None:
        """Go on with a run, or begin one under this name."""
        self.id = run_id or uuid.uuid4().hex[:12]
        figures_alone = wandb.Settings(  # nothing of the machine, its user, the sources, or what is printed
            host="unnamed",
            silent=True,
            console="off",
            x_disable_stats=True,
            x_disable_meta=True,
            x_disable_machine_info=True,
            x_save_requirements=False,
            disable_git=True,
            disable_code=True,
            save_code=False,
        )
        self._run = wandb.init(
            mode="offline",
            dir=str(folder),
            project=PROJECT,
            id=self.id,
            resume="allow",
            name=name,
            config=dict(settings),
            settings=figures_alone,
        )

    def send(self, points: Sequence[Points]) -> None:
        """Have them in the file."""
        by_step: dict[int, dict[str, float]] = {}
        for one in points:
            by_step.setdefault(one.step, {}).update(one.values)
        for step, values in by_step.items():  # W&B takes a step once, and keeps it back unless told to commit it
            self._run.log(values, step=step, commit=True)

    def end(self, best: Mapping[str, float]) -> None:
        """The best validation, as the summary of the run."""
        self._run.summary.update(dict(best))

    def close(self) -> None:
        """Wait until the file is whole."""
        self._run.finish()
