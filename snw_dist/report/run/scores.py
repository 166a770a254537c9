"""The scores themselves: how those of binders and non-binders lie, and whether probabilities come true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import binomtest

from snw_dist.arrays import BoolArray, FloatArray
from snw_dist.metrics.metrics import ECE_BINS, probability_bins
from snw_dist.report.marks import GREY, Axis, Lines, Mark, Panel, Points, Rules
from snw_dist.report.page import Figure
from snw_dist.report.run.files import RunFiles
from snw_dist.report.run.words import three

_BINS = 40
_SMALLEST_BIN = 5
"""The share of positives among fewer pairs is chance, so no point is drawn."""


def distribution_figure(run: RunFiles, splits: Sequence[str]) -> Figure:
    """The scores of both classes, a panel a split."""
    threshold = run.metrics["model"]["threshold"]
    return Figure(
        "quality_scores",
        "Scores of binders and non-binders",
        "How often each score is given, among binders and among non-binders (each adds up to 100 %). The less the "
        "two overlap, the better. From the **threshold** on a pair is called a binder; it was chosen on val, by "
        "the largest F1.",
        [_distribution(run, split, threshold) for split in splits],
    )


def _distribution(run: RunFiles, split: str, threshold: float | None) -> Panel:
    rows = run.predictions[run.predictions["split"] == split]
    positive, score = rows["positive"].to_numpy(dtype=np.bool_), rows["score"].to_numpy(dtype=np.float64)
    edges = np.linspace(min(0.0, score.min(initial=0.0)), max(1.0, score.max(initial=1.0)), _BINS + 1)
    marks: list[Mark] = [
        _steps("non-binders", score[~positive], edges, 0),
        _steps("binders", score[positive], edges, 1),
    ]
    if threshold is not None:
        marks.append(Rules(f"threshold {three(threshold)}", (threshold,)))
    return Panel(
        tuple(marks), Axis("score", low=float(edges[0]), high=float(edges[-1])), Axis("% of its kind", low=0), split
    )


def _steps(name: str, values: FloatArray, edges: FloatArray, colour: int) -> Lines:
    share = 100 * np.histogram(values, edges)[0] / max(1, values.size)
    height = np.append(share, share[-1])
    return Lines(name, edges, height, np.zeros_like(height), height, colour=colour, steps=True)


def reliability_figure(run: RunFiles, splits: Sequence[str]) -> Figure:
    """How often a probability comes true, a panel a split."""
    errors = [_error_words(run.metrics, split) for split in splits]
    return Figure(
        "quality_reliability",
        "Do probabilities come true?",
        "Pairs are put together by the **probability** of binding that they were given. A point shows how many of "
        "them bind. On the dotted line, 70 % means 70 %; below it the network promises too much. Upright lines "
        f"are 95 % intervals. Groups of fewer than {_SMALLEST_BIN} pairs are left out. The mean distance from the "
        f"line (**calibration error**): {'; '.join(errors)}. Calibration was learned on val, and holds for pairs "
        "like those.",
        [_reliability(run, split) for split in splits],
    )


def _error_words(metrics: Mapping[str, Any], split: str) -> str:
    entry = metrics["model"]["splits"][split]
    return (
        f"{split} {three(entry['metrics']['ece']['value'])}, before calibration {three(entry['uncalibrated']['ece'])}"
    )


def _reliability(run: RunFiles, split: str) -> Panel:
    rows = run.predictions[run.predictions["split"] == split]
    positive = rows["positive"].to_numpy(dtype=np.bool_)
    line = np.array([0.0, 1.0])
    marks: list[Mark] = [Lines("as it should be", line, line, colour=GREY, style="dot")]
    for name, column, colour in (("score as it is", "score", 4), ("calibrated probability", "probability", 0)):
        marks.append(_binned(name, positive, rows[column].to_numpy(dtype=np.float64).clip(0, 1), colour))
    return Panel(
        tuple(marks), Axis("probability", low=0, high=1), Axis("share that binds", low=0, high=1), split, square=True
    )


def _binned(name: str, positive: BoolArray, probability: FloatArray, colour: int) -> Points:
    bins = probability_bins(probability)
    num, hits, total = (np.bincount(bins, weights=w, minlength=ECE_BINS) for w in (None, positive, probability))
    kept = np.flatnonzero(num >= _SMALLEST_BIN)
    ends = [binomtest(int(hits[i]), int(num[i])).proportion_ci(method="wilson") for i in kept]
    return Points(
        name,
        total[kept] / num[kept],
        hits[kept] / num[kept],
        np.array([end.low for end in ends]),
        np.array([end.high for end in ends]),
        colour=colour,
        texts=tuple(f"{num[i]:,.0f} pairs, {hits[i]:,.0f} bind" for i in kept),
        faint=colour != 0,
        joined=colour == 0,
    )
