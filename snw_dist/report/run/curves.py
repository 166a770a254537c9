"""ROC, precision and recall of the held-out splits, each with the band in which chance would move it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array
from sklearn.metrics import precision_recall_curve, roc_curve

from snw_dist.arrays import BoolArray, FloatArray, IntArray
from snw_dist.metrics.bootstrap import LEVEL, Draws
from snw_dist.metrics.curves import ranked
from snw_dist.report.marks import GREY, Axis, Lines, Mark, Panel
from snw_dist.report.page import Figure

REPEATS = 200
"""Of the bands. The intervals of the figures are those of `metrics.json`, of more repeats."""
_GROUPS = 200
"""A band is made of so many groups of neighbouring scores, and a curve of so many points."""
_GRID = np.linspace(0, 1, 101)


class Held(NamedTuple):
    """A held-out split with both classes, and what is drawn of it."""

    name: str
    positive: BoolArray
    """[pairs]"""
    score: FloatArray
    """[pairs]"""
    draws: Draws
    auroc: str
    """As it is said: with its interval. Likewise `auprc`."""
    auprc: str
    colour: int


def roc_figure(splits: Sequence[Held]) -> Figure:
    """ROC curves."""
    marks: list[Mark] = [Lines("chance", np.array([0.0, 1]), np.array([0.0, 1]), colour=GREY, style="dot")]
    for split in splits:
        false_positive, true_positive, _ = roc_curve(split.positive, split.score)
        name = f"{split.name}: AUROC {split.auroc}"
        low, high = bands(split)[0]
        y = np.interp(_GRID, false_positive, true_positive)
        marks.append(Lines(name, _GRID, y, low, high, colour=split.colour))
        marks.append(Lines(name, *few_points(false_positive, true_positive), colour=split.colour))
    return Figure(
        "quality_roc",
        "ROC: how many binders are found, at which price",
        "Go down the list of pairs, the best score first. The curve shows which share of "
        "the binders has been found (up) when a share of the non-binders has been taken for "
        "binders (right). The dotted line is guessing. The **AUROC** is the area under the "
        "curve. " + _band_words(splits),
        [
            Panel(
                tuple(_without_second_band(marks)),
                _share("non-binders taken for binders"),
                _share("binders found"),
                square=True,
            )
        ],
    )


def pr_figure(splits: Sequence[Held]) -> Figure:
    """Precision over recall."""
    marks: list[Mark] = []
    for split in splits:
        precision, recall, _ = precision_recall_curve(split.positive, split.score)
        x, y = few_points(recall[::-1], precision[::-1])
        name = f"{split.name}: AUPRC {split.auprc}"
        low, high = bands(split)[1]
        at = np.interp(_GRID, recall[::-1], precision[::-1])
        marks.append(Lines(name, _GRID, at, low, high, colour=split.colour))
        marks.append(Lines(name, x, y, colour=split.colour, steps=True))
        share = np.full(2, split.positive.mean())
        marks.append(
            Lines("share of binders, which guessing reaches", np.array([0.0, 1]), share, colour=GREY, style="dot")
        )
    return Figure(
        "quality_precision_recall",
        "Precision and recall: how pure is what the network picks",
        "**Recall** is the share of all binders that have been picked, **precision** the "
        "share of binders among what was picked. If you can test few pairs, look at the "
        "left side. Guessing has the share of binders as its precision: compare with the "
        "dotted line, which is another one for each split. " + _band_words(splits),
        [Panel(tuple(_without_second_band(marks)), _share("recall"), _share("precision"), square=True)],
    )


def _without_second_band(marks: Sequence[Mark]) -> list[Mark]:
    """The line in a band is that of the grid, which is coarse: it is as faint as the band."""
    return [dataclasses.replace(m, faint=True) if isinstance(m, Lines) and m.low is not None else m for m in marks]


def _band_words(splits: Sequence[Held]) -> str:
    units = sorted({split.draws.unit for split in splits})
    return (
        f"The bands hold {100 * LEVEL:.0f} % of {REPEATS} curves of {' or '.join(f'{unit}s' for unit in units)} "
        "drawn again by chance: where they are wide, few stand behind the curve."
    )


def _share(title: str) -> Axis:
    return Axis(title, low=-0.01, high=1.01)


def few_points(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The points, [points] each in [0, 1], that can be told apart on a grid of 500 x 500."""
    cells = np.rint(np.stack([x, y]) * 500)
    changes = (np.diff(cells, axis=1) != 0).any(axis=0)
    kept = np.append(True, changes) | np.append(changes, True)
    return x[kept], y[kept]


def bands(split: Held) -> tuple[tuple[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]:
    """Of the ROC and of the precision curve: lower and upper edge, [points of the grid] each.

    What is drawn again is what the intervals of the metrics draw. Repeats of one class are left out.
    """
    group = grouped(split.score)
    size = (int(group.max()) + 1, int(split.draws.of_pair.max()) + 1)
    hits = csr_array((split.positive.astype(np.float64), (group, split.draws.of_pair)), shape=size)
    misses = csr_array(((~split.positive).astype(np.float64), (group, split.draws.of_pair)), shape=size)
    found: list[tuple[FloatArray, FloatArray]] = []
    for counts in dataclasses.replace(split.draws, repeats=REPEATS).chunks():
        sums = [np.asarray(part @ counts, dtype=np.float64).cumsum(axis=0).T for part in (hits, misses)]
        for tp, fp in zip(*sums, strict=True):
            if tp[-1] > 0 and fp[-1] > 0:
                found.append(
                    (_on_grid(fp / fp[-1], tp / tp[-1], 0.0), _on_grid(tp / tp[-1], tp / np.maximum(tp + fp, 1)))
                )
    ends = (1 - LEVEL) / 2, (1 + LEVEL) / 2
    both = [np.quantile([pair[which] for pair in found], ends, axis=0) for which in (0, 1)] if found else []
    empty = np.full(_GRID.size, np.nan)
    return ((both[0][0], both[0][1]), (both[1][0], both[1][1])) if both else ((empty, empty), (empty, empty))


def _on_grid(x: FloatArray, y: FloatArray, begin: float | None = None) -> FloatArray:
    first = y[0] if begin is None else begin
    line: FloatArray = np.interp(_GRID, np.append(0.0, x), np.append(first, y))
    return line


def grouped(score: FloatArray) -> IntArray:
    """[pairs]: the group of each score, 0 for the highest; equal scores are in one group."""
    place = ranked(score)
    if int(place.max()) < _GROUPS:
        return place
    sizes = np.bincount(place).cumsum()
    group: IntArray = ((sizes - 1) * _GROUPS // sizes[-1])[place].astype(np.int64)
    return np.unique(group, return_inverse=True)[1].astype(np.int64)
