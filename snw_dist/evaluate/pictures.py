"""Curves and histograms of an evaluation as PNG bytes; writing them is `report`'s part."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import binomtest
from sklearn.metrics import precision_recall_curve, roc_curve

from snw_dist.evaluate.canvas import COLOURS, GREY, literal, new_figure, plain, png
from snw_dist.evaluate.metrics import ECE_BINS, classification_metrics, probability_bins, probability_metrics
from snw_dist.evaluate.ranked import BoolArray, FloatArray

_POSITIVE, _NEGATIVE = "#D55E00", "#0072B2"
_CHANCE = "chance"


@dataclasses.dataclass(frozen=True)
class SplitScores:
    """One held-out split as it is drawn."""

    name: str
    positive: BoolArray
    """[pairs]"""
    scores: FloatArray
    """[pairs]"""
    probability: FloatArray
    """[pairs], the calibrated scores."""
    control: FloatArray | None = None
    """[pairs], drawn dashed."""


def roc_picture(splits: Sequence[SplitScores], encoder: str, control_name: str = "control") -> bytes:
    """ROC curve of each split with both classes; the legend holds the AUROC."""
    figure, axes = new_figure(6.4, 7.2)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":", label=_CHANCE)
    for colour, split, scores, dashed in _lines(splits):
        false_positive, true_positive, _ = roc_curve(split.positive, scores)
        label = _curve_label("auroc", split, scores, control_name if dashed else "")
        axes.plot(false_positive, true_positive, label=label, **_line_style(colour, dashed))
    _square(axes, "false positive rate", "true positive rate")
    _legend_below(figure, axes, "AUROC")
    return png(figure, "ROC on held-out splits", encoder)


def precision_recall_picture(splits: Sequence[SplitScores], encoder: str, control_name: str = "control") -> bytes:
    """Precision over recall of each split with both classes; dotted lines are the share of positives."""
    figure, axes = new_figure(6.4, 7.2)
    for colour, split, scores, dashed in _lines(splits):
        precision, recall, _ = precision_recall_curve(split.positive, scores)
        label = _curve_label("auprc", split, scores, control_name if dashed else "")
        axes.step(recall, precision, where="post", label=label, **_line_style(colour, dashed))
        if not dashed:
            axes.axhline(float(split.positive.mean()), color=colour, linewidth=1, linestyle=":")
    axes.plot([], [], color=GREY, linewidth=1, linestyle=":", label=_CHANCE)
    _square(axes, "recall", "precision")
    _legend_below(figure, axes, "AUPRC")
    return png(figure, "Precision and recall on held-out splits", encoder)


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
    return png(figure, "Scores of positive and negative pairs", encoder)


def reliability_picture(splits: Sequence[SplitScores], encoder: str) -> bytes:
    """How often pairs of a probability are positive, before and after calibration, and how many pairs have it.

    The bins are those of the calibration error in the legend; upright lines are 95 % intervals (Wilson 1927).
    """
    columns = max(1, len(splits))
    figure = Figure(figsize=(max(6.4, 4.4 * columns), 6.0), layout="constrained")
    panels = figure.subplots(2, columns, squeeze=False, sharex=True, height_ratios=(3, 1))
    for column, split in enumerate(splits):
        above, below = panels[:, column]
        above.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":")
        if split.positive.size:
            _reliability(above, below, split.positive, split.scores.clip(0.0, 1.0), "score as it is", COLOURS[4])
            _reliability(above, below, split.positive, split.probability, "calibrated", COLOURS[0])
            above.legend(loc="upper left", frameon=False, fontsize=8)
        plain(above, "", "share of positives")
        plain(below, "predicted probability", "pairs")
        above.set_title(literal(split.name), fontsize=10)
    return png(figure, "Reliability on held-out splits", encoder)


def _reliability(
    above: Axes, below: Axes, positive: BoolArray, probability: FloatArray, name: str, colour: str
) -> None:
    bins = probability_bins(probability)
    num, hits, total = (np.bincount(bins, weights=w, minlength=ECE_BINS) for w in (None, positive, probability))
    present = num > 0
    label = f"{name}: ECE {probability_metrics(positive, probability)['ece']:.3f}"
    x = total[present] / num[present]
    above.plot(x, hits[present] / num[present], "o-", color=colour, label=label)
    spans = [binomtest(int(k), int(n)).proportion_ci(method="wilson") for k, n in zip(hits, num, strict=True) if n]
    above.vlines(x, [span.low for span in spans], [span.high for span in spans], color=colour, linewidth=0.9, alpha=0.6)
    below.hist(probability, bins=np.linspace(0, 1, ECE_BINS + 1).tolist(), histtype="step", color=colour)


def _lines(splits: Sequence[SplitScores]) -> list[tuple[str, SplitScores, FloatArray, bool]]:
    """Colour, split, scores and whether dashed of every curve that exists: both classes are present."""
    lines: list[tuple[str, SplitScores, FloatArray, bool]] = []
    for index, split in enumerate(splits):
        if split.positive.any() and not split.positive.all():
            colour = COLOURS[index % len(COLOURS)]
            lines.append((colour, split, split.scores, False))
            if split.control is not None:
                lines.append((colour, split, split.control, True))
    return lines


def _line_style(colour: str, dashed: bool) -> dict[str, Any]:
    if dashed:
        return {"color": colour, "linewidth": 1.3, "linestyle": "--", "alpha": 0.8}
    return {"color": colour, "linewidth": 2.0}


def _curve_label(metric: str, split: SplitScores, scores: FloatArray, control_name: str) -> str:
    value = classification_metrics(split.positive, scores, math.nan)[metric]
    return literal(f"{value:.3f}  {split.name}" + (f", {control_name}" if control_name else ""))


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
    plain(axes, "score", "density")
    axes.set_title(literal(split.name), fontsize=10)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper right", frameon=False, fontsize=8)


def _legend_below(figure: Figure, axes: Axes, title: str) -> None:
    """Outside the axes, where it hides no curve: the model in one column, the control in the other."""
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


def _square(axes: Axes, horizontal: str, vertical: str) -> None:
    plain(axes, horizontal, vertical)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
