"""AUROC with its intervals beside the controls, by split and by stratum, from what `metrics.json` holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from snw_dist.evaluate.measure.verdict import turned
from snw_dist.evaluate.pictures.style import COLOURS, GREY, headed, literal, new_figure, plain, titled

_TURNED = ", turned round"


def controls_picture(metrics: Mapping[str, Any], of: str) -> Figure:
    """A panel a split: the AUROC of the model and of every control, with intervals; dotted is chance.

    A control that surely ranks backwards, by its interval, is also shown turned round: an open circle.
    """
    splits, rows = metrics["splits"], {"model": metrics["model"], **metrics["controls"]}
    figure = Figure(figsize=(max(6.4, 3.4 * len(splits) + 1), 1.9 + 0.32 * len(rows)), layout="constrained")
    panels = figure.subplots(1, len(splits), squeeze=False, sharey=True, sharex=True)[0]
    backwards = False
    for axes, (split, facts) in zip(panels, splits.items(), strict=True):
        axes.axvline(0.5, color=GREY, linewidth=1, linestyle=":")
        for place, (name, measured) in enumerate(rows.items()):
            auroc = measured["splits"][split]["metrics"]["auroc"]
            _point(axes, auroc, place, COLOURS[0] if name == "model" else COLOURS[1])
            if name != "model" and auroc["high"] is not None and auroc["high"] < 0.5:
                axes.plot(_turned(auroc)["value"], place, "o", color=COLOURS[1], markersize=5, fillstyle="none")
                backwards = True
        plain(axes, "AUROC", "")
        axes.set_yticks(range(len(rows)), list(rows))
        axes.set_title(headed(split, facts["num_pairs"], facts["num_positive"]), fontsize=10)
    panels[0].invert_yaxis()
    return titled(figure, f"The model and its controls{' (open circle: turned round)' if backwards else ''}", of)


def strata_picture(metrics: Mapping[str, Any], of: str) -> Figure:
    """Bars of AUROC by what of a pair was seen in training: the model, and the control that is best in the split.

    Of a control that counts turned round the bar is turned round too.
    """
    places: Sequence[tuple[str, str]] = [
        (s, stratum) for s, facts in metrics["splits"].items() for stratum in facts["strata"]
    ]
    figure, axes = new_figure(max(6.4, 1.5 * len(places)), 4.8)
    for place, (split, stratum) in enumerate(places):
        comparison = metrics["comparison"].get(split, {})
        best, backwards = comparison.get("best_control"), comparison.get("turned", False)
        value = metrics["model"]["splits"][split]["strata"][stratum]["metrics"]["auroc"]
        bars = [("model", value)]
        if best:
            value = metrics["controls"][best]["splits"][split]["strata"][stratum]["metrics"]["auroc"]
            bars.append((best + _TURNED, _turned(value)) if backwards else (best, value))
        for shift, (name, value) in enumerate(bars):
            _bar(axes, value, place + 0.36 * (shift - (len(bars) - 1) / 2), name, COLOURS[shift])
    axes.axhline(0.5, color=GREY, linewidth=1, linestyle=":")
    plain(axes, "", "AUROC")
    labels = [
        f"{literal(split, 20)}\n{stratum}\n{metrics['splits'][split]['strata'][stratum]['num_pairs']:,} pairs"
        for split, stratum in places
    ]
    axes.set_xticks(range(len(places)), labels, fontsize=8)
    axes.set(xlim=(-0.6, max(len(places), 1) - 0.4), ylim=(0, 1))
    return titled(figure, "AUROC by sequences seen in training", of)


def _turned(auroc: Mapping[str, Any]) -> dict[str, Any]:
    """An AUROC and its interval of the same scores in the opposite order."""
    opposite = {"value": "value", "low": "high", "high": "low"}
    return {key: None if auroc[of] is None else turned(auroc[of], "auroc") for key, of in opposite.items()}


def _point(axes: Axes, value: Mapping[str, Any], place: int, colour: str) -> None:
    if value["value"] is None:
        return
    axes.plot(value["value"], place, "o", color=colour, markersize=5)
    if value["low"] is not None:
        axes.plot([value["low"], value["high"]], [place, place], color=colour, linewidth=1.6)


def _bar(axes: Axes, value: Mapping[str, Any], x: float, name: str, colour: str) -> None:
    """A bar with its interval and name; the name is dark, so that it is read beside a bar too short for it."""
    if value["value"] is None:
        name = f"{name}: one class"
    else:
        axes.bar(x, value["value"], width=0.34, color=colour, alpha=0.6)
    if value["low"] is not None:
        axes.plot([x, x], [value["low"], value["high"]], color="black", linewidth=1.4)
    axes.text(x - 0.08, 0.02, name, rotation=90, ha="center", va="bottom", fontsize=8)
