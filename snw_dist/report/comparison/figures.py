"""Figures of a comparison: networks beside controls, paired differences, cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from snw_dist.arrays import FloatArray
from snw_dist.evaluate.measure.measured import DECISIVE
from snw_dist.evaluate.measure.verdict import METRIC_NAMES
from snw_dist.evaluate.tables import counts
from snw_dist.report.marks import GREY, Axis, Mark, Panel, Points, Rules
from snw_dist.report.page import Figure

_KINDS = {"models": ("networks", 0), "ensembles": ("ensembles: all runs together", 2), "controls": ("controls", 1)}
_LOG_FROM = 20.0
"""A span of values that is drawn in steps of ten; the labels of a shorter one would lie over each other there."""
_CHANCE = {"auroc": 0.5, "spearman": 0.0}


def metric_of(comparison: Mapping[str, Any], split: str) -> str:
    """What a split is compared by: the first of `DECISIVE` that is defined for a network."""
    for metric in DECISIVE:
        if any(_figure(model, split, metric)["value"] is not None for model in comparison["models"].values()):
            return metric
    return DECISIVE[0]


def ensemble_names(comparison: Mapping[str, Any]) -> dict[str, str]:
    """Of each ensemble a short name with its number of runs, `siamese x 2`: an axis has room for some 20 letters."""
    numbers = {name: len(model["runs"]) // comparison["folds"] for name, model in comparison["models"].items()}
    return {name: f"{name} x {numbers.get(name, sum(numbers.values()))}" for name in comparison["ensembles"]}


def ranking(comparison: Mapping[str, Any]) -> Figure:
    """A panel a split: every network, ensemble and control with its interval, and the runs or folds of each mean."""
    panels = [_ranked(comparison, split) for split in comparison["splits"]]
    level = f"{comparison['bootstrap']['level']:.0%}"
    says = (
        f"A dot is a figure, the bar its {level} interval by resampling, the dotted line chance. Small grey dots are "
        "the single runs, or folds, of which a figure is the mean. Bars that overlap do not say that two are alike: "
        "the differences below are paired, so they are narrower. Of each kind the best one on the split that chose "
        "the network is the first."
    )
    return Figure("networks_and_controls", "Networks beside controls", says, panels)


def differences(comparison: Mapping[str, Any]) -> Figure | None:
    """A panel a split: each network less the best one on validation, and less its best control."""
    panels = [_paired(comparison, split) for split in comparison["verdicts"]]
    panels = [panel for panel in panels if any(isinstance(mark, Points) for mark in panel.marks)]
    if not panels:
        return None
    says = (
        "Both of a pair are measured on the same resampled pairs, so chance that is common to both is not in the bar. "
        "A bar that holds 0 means: not told apart. No bar is corrected for how many comparisons there are: of twenty "
        "between equals, one bar on average misses 0."
    )
    return Figure("paired_differences", "Paired differences", says, panels)


def cost(comparison: Mapping[str, Any]) -> Figure | None:
    """What a network gives for what it takes: parameters, and seconds of training."""
    splits = list(comparison["verdicts"]) or list(comparison["splits"])
    if not splits:
        return None
    split = splits[0]
    metric = metric_of(comparison, split)
    titles = {"parameters": "parameters", "training_s": "training, s"}
    panels = []
    for key, title in titles.items():
        marks = list(_costs(comparison, key, split, metric))
        if marks:
            reach = [float(mark.x[0]) for mark in marks]
            log = max(reach) > _LOG_FROM * min(reach)
            heights = [float(mark.y[0]) for mark in marks]
            room = max(0.01, 0.1 * (max(heights) - min(heights)))  # or the best one is cut by the edge
            up = Axis(f"{METRIC_NAMES[metric]} on {split}", low=min(heights) - room, high=max(heights) + room)
            axes = Axis(title, log=log, low=None if log else 0.0), up
            panels.append(Panel(tuple(marks), *axes))
    says = (
        "Up and to the left is better: more for less. Of several runs the mean; the time depends on the machine. The "
        "intervals are in the figures above: bars of networks of one size would hide each other here."
    )
    return Figure("what_it_costs", "What it costs", says, panels) if panels else None


def spent(model: Mapping[str, Any], key: str) -> float | None:
    """The mean over the runs of a network; None where it is not known."""
    values = [run[key] for run in model["trained"].values() if run[key] is not None]
    return sum(values) / len(values) if values else None


def _costs(comparison: Mapping[str, Any], key: str, split: str, metric: str) -> Iterator[Points]:
    for number, (name, model) in enumerate(comparison["models"].items()):
        figure, took = _figure(model, split, metric), spent(model, key)
        if took and figure["value"] is not None:
            yield Points(name, _array([took]), _array([figure["value"]]), colour=number)


def _ranked(comparison: Mapping[str, Any], split: str) -> Panel:
    metric = metric_of(comparison, split)
    names: list[str] = []
    marks: list[Mark] = []
    together = ensemble_names(comparison)
    for kind, (title, colour) in _KINDS.items():
        named = together if kind == "ensembles" else {name: name for name in comparison[kind]}
        rows = [(named[name], _figure(comparison[kind][name], split, metric)) for name in _best_first(comparison, kind)]
        rows = [(name, figure) for name, figure in rows if figure["value"] is not None]
        places = [float(len(names) + place) for place in range(len(rows))]
        names += [name for name, _ in rows]
        if rows:
            figures = [figure for _, figure in rows]
            values = [figure["value"] for figure in figures]
            marks += _singles(figures, places)
            marks.append(_dots(title, values, places, figures, "x", colour, [name for name, _ in rows]))
    chance = Rules("chance", (_CHANCE[metric],), style="dot")
    height = 90 + 24 * max(1, len(names))
    title = f"{split}: {counts(comparison['splits'][split])}"
    axes = Axis(METRIC_NAMES[metric]), Axis(names=tuple(names))
    return Panel((chance, *marks), *axes, title, height=height)


def _best_first(comparison: Mapping[str, Any], kind: str) -> list[str]:
    """Names in the order of the split that chose the best network; as they are where nothing was chosen."""
    split: str = comparison["networks"]["chosen_by"]["split"] if comparison["networks"] else ""
    if split not in comparison["splits"]:
        return list(comparison[kind])
    metric = metric_of(comparison, split)
    values = {name: _figure(one, split, metric)["value"] for name, one in comparison[kind].items()}
    return sorted(values, key=lambda name: -np.inf if values[name] is None else values[name], reverse=True)


def _singles(figures: Sequence[Mapping[str, Any]], places: Sequence[float]) -> list[Points]:
    """The values of which figures are the mean."""
    found = [
        (value, place)
        for figure, place in zip(figures, places, strict=True)
        for value in figure.get("of_folds", figure.get("of_runs", []))
        if value is not None
    ]
    if not found:
        return []
    x, y = np.array(found, np.float64).T
    return [Points("single runs or folds", x, y, colour=GREY, faint=True)]


def _paired(comparison: Mapping[str, Any], split: str) -> Panel:
    names = {name: name for name in comparison["models"]}
    names |= {f"ensemble: {name}": shown for name, shown in ensemble_names(comparison).items()}
    best = comparison["networks"]
    series = [("less its best control", 1, comparison["verdicts"][split], 0.15 if best else 0.0)]
    if best:
        series.insert(0, (f"less {best['best']}, the best on validation", 0, best["verdicts"][split], -0.15))
    marks: list[Mark] = [Rules("no difference", (0.0,), style="dot")]
    for title, colour, verdicts, shift in series:
        found = [
            (float(place) + shift, verdicts[name]["difference"], verdicts[name]["sentence"])
            for place, name in enumerate(names)
            if name in verdicts and verdicts[name]["difference"] is not None
        ]
        if found:
            places, figures, texts = zip(*found, strict=True)
            marks.append(_dots(title, [one["value"] for one in figures], places, figures, "x", colour, texts))
    axes = Axis("difference"), Axis(names=tuple(names.values()))
    return Panel(tuple(marks), *axes, split, height=110 + 30 * len(names))


def _dots(
    name: str,
    x: Sequence[float],
    y: Sequence[float],
    figures: Sequence[Mapping[str, Any]],
    along: Any,
    colour: int,
    texts: Sequence[str] = (),
) -> Points:
    """Points with their intervals, as far as these are known."""
    value = [figure["value"] for figure in figures]
    low, high = (
        _array([mid if figure[end] is None else figure[end] for mid, figure in zip(value, figures, strict=True)])
        for end in ("low", "high")
    )
    return Points(name, _array(x), _array(y), low, high, along, colour, tuple(texts))


def _array(values: Sequence[float]) -> FloatArray:
    return np.array(values, dtype=np.float64)


def _figure(measured: Mapping[str, Any], split: str, metric: str) -> Mapping[str, Any]:
    figure: Mapping[str, Any] = measured["splits"][split]["metrics"][metric]
    return figure
