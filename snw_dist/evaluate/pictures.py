"""Pictures of an evaluation as PNG bytes; writing them is `report`'s part.

Everything goes through `matplotlib.figure.Figure`, so no display, no global state and no figure is left open.
Colours are Okabe & Ito's, which stay apart for colour-blind readers.
"""

from __future__ import annotations

import dataclasses
import io
import json
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from hpc.errors import CorruptError
from snw_dist.evaluate.metrics import BoolArray, FloatArray, classification_metrics

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_GREY = "#6E6E6E"
_POSITIVE, _NEGATIVE = "#D55E00", "#0072B2"
_DPI = 150
_CHANCE = "chance"


@dataclasses.dataclass(frozen=True)
class SplitScores:
    """One held-out split as it is drawn."""

    name: str
    positive: BoolArray
    """[pairs]"""
    scores: FloatArray
    """[pairs]"""
    baseline: FloatArray | None = None
    """[pairs], drawn dashed."""


def roc_picture(splits: Sequence[SplitScores], encoder: str, baseline_name: str = "baseline") -> bytes:
    """ROC curve of each split with both classes; the legend holds the AUROC."""
    figure, axes = _figure(6.4, 7.2)
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle=":", label=_CHANCE)
    for colour, split, scores, dashed in _lines(splits):
        false_positive, true_positive, _ = roc_curve(split.positive, scores)
        label = _curve_label("auroc", split, scores, baseline_name if dashed else "")
        axes.plot(false_positive, true_positive, label=label, **_line_style(colour, dashed))
    _square(axes, "false positive rate", "true positive rate")
    _legend_below(figure, axes, "AUROC")
    return _png(figure, "ROC on held-out splits", encoder)


def precision_recall_picture(splits: Sequence[SplitScores], encoder: str, baseline_name: str = "baseline") -> bytes:
    """Precision over recall of each split with both classes; dotted lines are the share of positives."""
    figure, axes = _figure(6.4, 7.2)
    for colour, split, scores, dashed in _lines(splits):
        precision, recall, _ = precision_recall_curve(split.positive, scores)
        label = _curve_label("auprc", split, scores, baseline_name if dashed else "")
        axes.step(recall, precision, where="post", label=label, **_line_style(colour, dashed))
        if not dashed:
            axes.axhline(float(split.positive.mean()), color=colour, linewidth=1, linestyle=":")
    axes.plot([], [], color=_GREY, linewidth=1, linestyle=":", label=_CHANCE)
    _square(axes, "recall", "precision")
    _legend_below(figure, axes, "AUPRC")
    return _png(figure, "Precision and recall on held-out splits", encoder)


def histogram_picture(splits: Sequence[SplitScores], threshold: float, encoder: str) -> bytes:
    """Scores of positives against negatives, one panel a split; each class has area 1."""
    columns = max(1, min(3, len(splits)))
    rows = max(1, math.ceil(len(splits) / columns))
    figure = Figure(figsize=(max(6.4, 4.4 * columns), 3.9 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True)
    for axes, split in zip(panels.flat, splits, strict=False):
        _histogram(axes, split, threshold)
    for axes in panels.flat[len(splits) :]:
        axes.set_visible(False)
    return _png(figure, "Scores of positive and negative pairs", encoder)


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
        top.plot(steps, loss, color=_COLOURS[5], linewidth=0.8, alpha=0.55, label="train, each logged step")
        window = steps.size // 20 // 2 * 2 + 1  # odd, so that the mean belongs to the middle step
        if window > 1:
            half = window // 2
            smooth = np.convolve(loss, np.ones(window) / window, mode="valid")
            label = f"train, mean of {window}"
            top.plot(steps[half : half + smooth.size], smooth, color=_COLOURS[0], linewidth=1.8, label=label)
    _markers(top, validation, "loss", _COLOURS[1], "validation")
    _markers(bottom, validation, "auroc", _COLOURS[1], "validation")
    steps, auroc = _series(validation, "auroc")
    if steps.size:
        best = int(np.argmax(auroc))
        bottom.axvline(steps[best], color=_GREY, linewidth=1, linestyle=":")
        bottom.plot(
            steps[best], auroc[best], "*", color="black", markersize=11,
            label=f"best: {auroc[best]:.3f} at step {steps[best]:,.0f}",
        )  # fmt: skip
    for axes, name, corner in ((top, "loss", "upper right"), (bottom, "AUROC", "lower right")):
        _plain(axes, "step" if axes is bottom else "", name)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc=corner, frameon=False, fontsize=9)
    return _png(figure, "Training", encoder)


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


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _lines(splits: Sequence[SplitScores]) -> list[tuple[str, SplitScores, FloatArray, bool]]:
    """Colour, split, scores and whether dashed of every curve that exists: both classes are present."""
    lines: list[tuple[str, SplitScores, FloatArray, bool]] = []
    for index, split in enumerate(splits):
        if split.positive.any() and not split.positive.all():
            colour = _COLOURS[index % len(_COLOURS)]
            lines.append((colour, split, split.scores, False))
            if split.baseline is not None:
                lines.append((colour, split, split.baseline, True))
    return lines


def _line_style(colour: str, dashed: bool) -> dict[str, Any]:
    if dashed:
        return {"color": colour, "linewidth": 1.3, "linestyle": "--", "alpha": 0.8}
    return {"color": colour, "linewidth": 2.0}


def _curve_label(metric: str, split: SplitScores, scores: FloatArray, baseline_name: str) -> str:
    value = classification_metrics(split.positive, scores, math.nan)[metric]
    return _literal(f"{value:.3f}  {split.name}" + (f", {baseline_name}" if baseline_name else ""))


def _histogram(axes: Axes, split: SplitScores, threshold: float) -> None:
    low, high = (float(split.scores.min()), float(split.scores.max())) if split.scores.size else (0.0, 1.0)
    bins = np.linspace(min(low, 0.0), max(high, 1.0), 41).tolist()  # scores are in [0, 1] by design
    for name, chosen, colour in (
        ("negative", ~split.positive, _NEGATIVE),
        ("positive", split.positive, _POSITIVE),
    ):
        count = int(np.count_nonzero(chosen))
        if count:
            values, label = split.scores[chosen], f"{name} ({count:,})"
            axes.hist(values, bins=bins, density=True, color=colour, alpha=0.35)
            axes.hist(values, bins=bins, density=True, histtype="step", color=colour, linewidth=1.6, label=label)
    if not math.isnan(threshold):
        axes.axvline(threshold, color="black", linewidth=1, linestyle="--", label=f"threshold {threshold:.3f}")
    _plain(axes, "score", "density")
    axes.set_title(_literal(split.name), fontsize=10)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper right", frameon=False, fontsize=8)


def _legend_below(figure: Figure, axes: Axes, title: str) -> None:
    """Outside the axes, where it hides no curve: the model in one column, the baseline in the other."""
    lines = [line for line in axes.lines if not str(line.get_label()).startswith("_")]
    lines.sort(key=lambda line: ("-", ":", "--").index(line.get_linestyle()))
    figure.legend(
        handles=lines,
        loc="outside lower center",
        ncols=2 if lines[-1].get_linestyle() == "--" else 1,
        frameon=False,
        fontsize=9,
        title=title,
    )


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


def _square(axes: Axes, horizontal: str, vertical: str) -> None:
    _plain(axes, horizontal, vertical)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")


def _plain(axes: Axes, horizontal: str, vertical: str) -> None:
    axes.set(xlabel=horizontal, ylabel=vertical)
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _literal(text: str) -> str:
    """Names come from the user's tables: a dollar sign in them starts no formula."""
    return text.replace("$", r"\$")


def _png(figure: Figure, title: str, encoder: str) -> bytes:
    wrapped = textwrap.fill(f"encoder: {encoder}", width=int(figure.get_figwidth() * 12))
    figure.suptitle(_literal(f"{title}\n{wrapped}"), fontsize=11)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png", dpi=_DPI, bbox_inches="tight", pad_inches=0.1, metadata={"Software": None})
    return buffer.getvalue()
