"""AUROC with its intervals beside the controls, by split and by stratum, from what `metrics.json` holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from snw_dist.evaluate.canvas import COLOURS, GREY, literal, new_figure, plain, png


def controls_picture(metrics: Mapping[str, Any], encoder: str) -> bytes:
    """A panel a split: the AUROC of the model and of every control, with intervals; dotted is chance."""
    splits, rows = metrics["splits"], {"model": metrics["model"], **metrics["controls"]}
    figure = Figure(figsize=(max(6.4, 3.4 * len(splits) + 1), 1.6 + 0.32 * len(rows)), layout="constrained")
    panels = figure.subplots(1, len(splits), squeeze=False, sharey=True, sharex=True)[0]
    for axes, split in zip(panels, splits, strict=True):
        axes.axvline(0.5, color=GREY, linewidth=1, linestyle=":")
        for place, (name, measured) in enumerate(rows.items()):
            colour = COLOURS[0] if name == "model" else COLOURS[1]
            _point(axes, measured["splits"][split]["metrics"]["auroc"], place, colour)
        plain(axes, "AUROC", "")
        axes.set_yticks(range(len(rows)), list(rows))
        axes.set_title(literal(split), fontsize=10)
    panels[0].invert_yaxis()
    return png(figure, "The model and its controls", encoder)


def strata_picture(metrics: Mapping[str, Any], encoder: str) -> bytes:
    """Bars of AUROC by what of a pair was seen in training: the model, and the control that is best in the split."""
    places: Sequence[tuple[str, str]] = [
        (s, stratum) for s, facts in metrics["splits"].items() for stratum in facts["strata"]
    ]
    figure, axes = new_figure(max(6.4, 1.5 * len(places)), 4.8)
    for place, (split, stratum) in enumerate(places):
        best = metrics["comparison"].get(split, {}).get("best_control")
        rivals = [("model", metrics["model"]), *([(best, metrics["controls"][best])] if best else [])]
        for shift, (name, measured) in enumerate(rivals):
            value = measured["splits"][split]["strata"][stratum]["metrics"]["auroc"]
            x = place + 0.36 * (shift - (len(rivals) - 1) / 2)
            _bar(axes, value, x, name, COLOURS[shift])
    axes.axhline(0.5, color=GREY, linewidth=1, linestyle=":")
    plain(axes, "", "AUROC")
    labels = [
        f"{split}\n{stratum}\n{metrics['splits'][split]['strata'][stratum]['num_pairs']:,} pairs"
        for split, stratum in places
    ]
    axes.set_xticks(range(len(places)), [literal(label) for label in labels], fontsize=8)
    axes.set_ylim(0, 1)
    return png(figure, "AUROC by sequences seen in training", encoder)


def _point(axes: Axes, value: Mapping[str, Any], place: int, colour: str) -> None:
    if value["value"] is None:
        return
    axes.plot(value["value"], place, "o", color=colour, markersize=5)
    if value["low"] is not None:
        axes.plot([value["low"], value["high"]], [place, place], color=colour, linewidth=1.6)


def _bar(axes: Axes, value: Mapping[str, Any], x: float, name: str, colour: str) -> None:
    if value["value"] is None:
        return
    axes.bar(x, value["value"], width=0.34, color=colour, alpha=0.75)
    if value["low"] is not None:
        axes.plot([x, x], [value["low"], value["high"]], color="black", linewidth=1.4)
    axes.text(x, 0.02, literal(name), rotation=90, ha="center", va="bottom", fontsize=8, color="white")
