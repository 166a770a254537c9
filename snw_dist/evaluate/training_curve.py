"""The course of a training run as a picture, from its `metrics.jsonl`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hpc.errors import CorruptError
from snw_dist.evaluate.canvas import COLOURS, GREY, plain, png
from snw_dist.evaluate.ranked import FloatArray


def training_picture(log: Path, encoder: str) -> bytes:
    """Loss and validation AUROC over steps, from a `metrics.jsonl`.

    Lines are objects with `kind` ('train' or 'validation'), `step`, `loss` and, for validation, `auroc`. A
    step that a resumed run wrote again counts once, as last written. Raises `CorruptError` on a line that is
    no JSON object, save the last, which a killed run may have left unfinished.
    """
    train, validation = read_training_log(log)
    figure = Figure(figsize=(7.2, 6.0), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    steps, loss = _series(train, "loss")
    if steps.size:
        top.plot(steps, loss, color=COLOURS[5], linewidth=0.8, alpha=0.55, label="train, each logged step")
        window = steps.size // 20 // 2 * 2 + 1  # odd, so that the mean belongs to the middle step
        if window > 1:
            half = window // 2
            smooth = np.convolve(loss, np.ones(window) / window, mode="valid")
            label = f"train, mean of {window}"
            top.plot(steps[half : half + smooth.size], smooth, color=COLOURS[0], linewidth=1.8, label=label)
    _markers(top, validation, "loss", COLOURS[1], "validation")
    _markers(bottom, validation, "auroc", COLOURS[1], "validation")
    steps, auroc = _series(validation, "auroc")
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
    return png(figure, "Training", encoder)


def read_training_log(log: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The training and the validation records of a `metrics.jsonl`, each in order of step."""
    lines = log.read_text(encoding="utf-8").splitlines()
    records: dict[tuple[str, int], dict[str, Any]] = {}
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            records[record["kind"], int(record["step"])] = record
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines):
                break
            raise CorruptError(f"{log}:{number}: not a record of a run: {error}") from None
    kinds: tuple[str, str] = ("train", "validation")
    first, second = ([records[key] for key in sorted(records) if key[0] == kind] for kind in kinds)
    return first, second


def _series(records: Sequence[dict[str, Any]], key: str) -> tuple[FloatArray, FloatArray]:
    """Steps and values, [points] float64 each, of the records that have a finite value."""
    points = [(record["step"], record[key]) for record in records if record.get(key) is not None]
    table = np.array(points, dtype=np.float64).reshape(-1, 2)
    table = table[np.isfinite(table[:, 1])]
    return table[:, 0], table[:, 1]


def _markers(axes: Axes, records: Sequence[dict[str, Any]], key: str, colour: str, label: str) -> None:
    steps, values = _series(records, key)
    if steps.size:
        axes.plot(steps, values, "o-", color=colour, markersize=4, linewidth=1.4, label=label)
