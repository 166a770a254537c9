"""The course of a training run as a picture, from its `metrics.jsonl`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hpc.disk.json_lines import read_json_lines
from snw_dist.arrays import FloatArray
from snw_dist.evaluate.pictures.style import COLOURS, GREY, plain, titled

_LARGEST = 1e100
"""A value beyond it is damage, and no axis can be drawn to it."""
_MOST_VECTORS = 20_000
"""A line of more points is dots in the PDF too, which no viewer is slow with."""


@dataclasses.dataclass(frozen=True)
class TrainingLog:
    """What a `metrics.jsonl` says of a run: step -> value, in order of step."""

    train_loss: dict[int, float]
    validation_loss: dict[int, float]
    auroc: dict[int, float]


def training_picture(log: Path, of: str) -> Figure:
    """Loss and validation AUROC over steps, from a `metrics.jsonl`, see `read_training_log`."""
    found = read_training_log(log)
    figure = Figure(figsize=(7.2, 6.0), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    steps, loss = _series(found.train_loss)
    if steps.size:
        style: dict[str, Any] = {"rasterized": steps.size > _MOST_VECTORS}
        top.plot(steps, loss, color=COLOURS[5], linewidth=0.8, alpha=0.55, label="train, each logged step", **style)
        window = steps.size // 20 // 2 * 2 + 1  # odd, so that the mean belongs to the middle step
        if window > 1:
            half = window // 2
            smooth = np.convolve(loss, np.ones(window) / window, mode="valid")
            label = f"train, mean of {window}"
            top.plot(steps[half : half + smooth.size], smooth, color=COLOURS[0], linewidth=1.8, label=label, **style)
    _markers(top, found.validation_loss)
    _markers(bottom, found.auroc)
    steps, auroc = _series(found.auroc)
    if steps.size:
        best = int(np.argmax(auroc))
        bottom.axvline(steps[best], color=GREY, linewidth=1, linestyle=":")
        bottom.plot(
            steps[best], auroc[best], "*", color="black", markersize=11,
            label=f"best: {auroc[best]:.3f} at step {steps[best]:,.0f}",
        )  # fmt: skip
    for axes, name, corner in ((top, "loss", "upper right"), (bottom, "AUROC", "lower right")):
        plain(axes, "step" if axes is bottom else "", name)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc=corner, frameon=False, fontsize=9)
    return titled(figure, "Training", of)


def read_training_log(log: Path) -> TrainingLog:
    """The finite values of training and validation.

    Lines are objects with `kind` ('train' or 'validation'), `step`, `loss` and, for validation, `auroc`. A step that a
    resumed run wrote again counts once, as last written. Damaged lines are left out with a warning. Raises
    `CorruptError` where the log is no file.
    """
    found = TrainingLog({}, {}, {})
    series = {("train", "loss"): found.train_loss, ("validation", "loss"): found.validation_loss}
    series["validation", "auroc"] = found.auroc
    for record in read_json_lines(log):
        for (kind, name), values in series.items():
            step, value = record.get("step"), record.get(name)
            if record.get("kind") == kind and step is not None:
                values.pop(step, None)  # the last one counts, also where it has no number
                if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST:
                    values[step] = value
    return TrainingLog(*(dict(sorted(values.items())) for values in vars(found).values()))


def _series(values: Mapping[int, float]) -> tuple[FloatArray, FloatArray]:
    """Steps and values, [points] float64 each."""
    table = np.array(list(values.items()), dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _markers(axes: Axes, found: Mapping[int, float]) -> None:
    steps, values = _series(found)
    if steps.size:
        axes.plot(steps, values, "o-", color=COLOURS[1], markersize=4, linewidth=1.4, label="validation")
