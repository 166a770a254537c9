"""Curves and histograms of an evaluation as figures; `canvas` makes files of them and `report` writes those."""

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

from snw_dist.arrays import BoolArray, FloatArray
from snw_dist.data.summary import too_few
from snw_dist.evaluate.pictures.style import COLOURS, GREY, headed, literal, new_figure, plain, titled
from snw_dist.metrics.metrics import ECE_BINS, classification_metrics, probability_bins, probability_metrics

_POSITIVE, _NEGATIVE = "#D55E00", "#0072B2"
_CHANCE = "chance"
_SMALLEST_BIN = 5
"""The share of positives among fewer pairs is chance (of two: 0, one half or 1), so no line leads there."""
_FEWEST_IN_HISTOGRAM = 20
"""Fewer pairs of a class are drawn one by one: bins would hold one or two."""
_CELLS = 2000
"""A curve has one point in each cell of a grid so fine that no print shows it: a million pairs are a small file."""


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

    @property
    def heading(self) -> str:
        """Over a panel of its own."""
        return headed(self.name, self.positive.size, int(self.positive.sum()))


def roc_picture(splits: Sequence[SplitScores], of: str, control_name: str = "control") -> Figure:
    """ROC curve of each split with both classes; the legend holds the AUROC."""
    figure, axes = new_figure(6.4, _height(splits))
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":", label=_CHANCE)
    for colour, split, scores, dashed in _lines(splits):
        false_positive, true_positive, _ = roc_curve(split.positive, scores)
        label = _curve_label("auroc", split, scores, control_name if dashed else "")
        axes.plot(*_thinned(false_positive, true_positive), label=label, **_line_style(colour, dashed))
    _square(axes, "false positive rate", "true positive rate")
    _legend_below(figure, axes, "AUROC")
    return titled(figure, "ROC on held-out splits", of)


def precision_recall_picture(splits: Sequence[SplitScores], of: str, control_name: str = "control") -> Figure:
    """Precision over recall of each split with both classes; dotted lines are the share of positives."""
    figure, axes = new_figure(6.4, _height(splits))
    for colour, split, scores, dashed in _lines(splits):
        precision, recall, _ = precision_recall_curve(split.positive, scores)
        label = _curve_label("auprc", split, scores, control_name if dashed else "")
        axes.step(*_thinned(recall, precision), where="post", label=label, **_line_style(colour, dashed))
        if not dashed:
            axes.axhline(float(split.positive.mean()), color=colour, linewidth=1, linestyle=":")
    axes.plot([], [], color=GREY, linewidth=1, linestyle=":", label=_CHANCE)
    _square(axes, "recall", "precision")
    _legend_below(figure, axes, "AUPRC")
    return titled(figure, "Precision and recall on held-out splits", of)


def histogram_picture(splits: Sequence[SplitScores], threshold: float, of: str) -> Figure:
    """Scores of positives against negatives, one panel a split; each class has area 1.

    A class of few pairs is drawn as one upright mark for each.
    """
    columns = max(1, min(3, len(splits)))
    rows = max(1, math.ceil(len(splits) / columns))
    figure = Figure(figsize=(max(6.4, 4.4 * columns), 4.6 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True)
    for axes, split in zip(panels.flat, splits, strict=False):
        _histogram(axes, split, threshold)
    for axes in panels.flat[len(splits) :]:
        axes.set_visible(False)
    return titled(figure, "Scores of positive and negative pairs", of)


def reliability_picture(splits: Sequence[SplitScores], of: str) -> Figure:
    """How often pairs of a probability are positive, before and after calibration, and how many pairs have it.

    The bins are those of the calibration error in the legend; upright lines are 95 % intervals (Wilson 1927). Bins of
    fewer than `_SMALLEST_BIN` pairs are faint points off the line, and the legend says how many there are.
    """
    columns = max(1, len(splits))
    figure = Figure(figsize=(max(6.4, 4.4 * columns), 6.9), layout="constrained")
    panels = figure.subplots(2, columns, squeeze=False, sharex=True, height_ratios=(3, 1))
    for column, split in enumerate(splits):
        above, below = panels[:, column]
        above.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":")
        if split.positive.size:
            _reliability(above, below, split.positive, split.scores.clip(0.0, 1.0), "score as it is", COLOURS[4])
            _reliability(above, below, split.positive, split.probability, "calibrated", COLOURS[0])
        plain(above, "", "share of positives")
        plain(below, "predicted probability", "pairs")
        _legend_above(above, split.heading)
    return titled(figure, "Reliability on held-out splits", of)


def _reliability(
    above: Axes, below: Axes, positive: BoolArray, probability: FloatArray, name: str, colour: str
) -> None:
    bins = probability_bins(probability)
    num, hits, total = (np.bincount(bins, weights=w, minlength=ECE_BINS) for w in (None, positive, probability))
    with np.errstate(invalid="ignore"):
        x, y = total / num, hits / num
    large, small = num >= _SMALLEST_BIN, (num > 0) & (num < _SMALLEST_BIN)
    label = f"{name}: ECE {probability_metrics(positive, probability)['ece']:.3f}"
    above.plot(x[large], y[large], "o-", color=colour, label=label)
    if small.any():
        label = f"bins of fewer than {_SMALLEST_BIN} pairs: {np.count_nonzero(small)}"
        above.plot(x[small], y[small], "o", color=colour, alpha=0.3, markeredgewidth=0, label=label)
    spans = [binomtest(int(hits[i]), int(num[i])).proportion_ci(method="wilson") for i in np.flatnonzero(large)]
    lows, highs = [span.low for span in spans], [span.high for span in spans]
    above.vlines(x[large], lows, highs, color=colour, linewidth=0.9, alpha=0.6)
    below.hist(probability, bins=np.linspace(0, 1, ECE_BINS + 1).tolist(), histtype="step", color=colour)


def _thinned(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The points, [points] each in [0, 1], that lie in another cell than the one before or the one after."""
    cells = np.rint(np.stack([x, y]) * _CELLS)
    changes = (np.diff(cells, axis=1) != 0).any(axis=0)
    kept = np.append(True, changes) | np.append(changes, True)
    return x[kept], y[kept]


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
    few = ": too few pairs" if too_few(split.positive.size, int(split.positive.sum())) else ""
    return f"{value:.3f}  {literal(split.name, 24)}" + (f", {control_name}" if control_name else few)


def _histogram(axes: Axes, split: SplitScores, threshold: float) -> None:
    low, high = (float(split.scores.min()), float(split.scores.max())) if split.scores.size else (0.0, 1.0)
    bins = np.linspace(min(low, 0.0), max(high, 1.0), 41).tolist()  # scores are in [0, 1] by design
    for name, chosen, colour, height in (
        ("negative", ~split.positive, _NEGATIVE, 0.25),
        ("positive", split.positive, _POSITIVE, 0.5),
    ):
        values, label = split.scores[chosen], f"{name} ({np.count_nonzero(chosen):,})"
        if values.size >= _FEWEST_IN_HISTOGRAM:
            axes.hist(values, bins=bins, density=True, color=colour, alpha=0.35)
            axes.hist(values, bins=bins, density=True, histtype="step", color=colour, linewidth=1.6, label=label)
        elif values.size:
            upright = axes.get_xaxis_transform()  # heights are shares of the panel: they mean nothing
            axes.vlines(values, 0, height, color=colour, label=f"{label}, one by one", transform=upright)
    if not math.isnan(threshold):
        axes.axvline(threshold, color="black", linewidth=1, linestyle="--", label=f"threshold {threshold:.3f}")
    plain(axes, "score", "density")
    axes.set_xlim(bins[0] - 0.02, bins[-1] + 0.02)
    if not axes.patches:
        axes.set(yticks=[], ylabel="")
    _legend_above(axes, split.heading)


def _legend_above(axes: Axes, title: str) -> None:
    """Between the title of a panel and its axes, where it hides no point."""
    if axes.get_legend_handles_labels()[0]:
        place: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0)}
        legend = axes.legend(frameon=False, fontsize=8, title=title, title_fontsize=10, **place)
        legend.get_title().set_multialignment("center")
    else:
        axes.set_title(title, fontsize=10)


def _legend_below(figure: Figure, axes: Axes, metric: str) -> None:
    """Outside the axes, where it hides no curve: the model in one column, the control in the other."""
    lines = [line for line in axes.lines if not str(line.get_label()).startswith("_")]
    lines.sort(key=lambda line: ("-", ":", "--").index(line.get_linestyle()))
    controlled = lines[-1].get_linestyle() == "--"
    if len(lines) == 1:
        axes.text(0.5, 0.6, "no split has both classes", ha="center")
    figure.legend(
        handles=lines,
        loc="outside lower center",
        ncols=2 if controlled else 1,
        frameon=False,
        fontsize=9,
        title=f"{metric}{' (dashed: the control that is best on val)' if controlled else ''}",
    )


def _height(splits: Sequence[SplitScores]) -> float:
    """In inches: the axes keep their size however many lines the legend below has."""
    return 6.8 + 0.2 * len(splits)


def _square(axes: Axes, horizontal: str, vertical: str) -> None:
    plain(axes, horizontal, vertical)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
