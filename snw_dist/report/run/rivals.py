"""The network beside its controls, in every held-out split and in the strata of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from snw_dist.metrics.metrics import METRICS
from snw_dist.report.marks import Axis, Mark, Panel, Points, Rules
from snw_dist.report.page import Cell, Column, Figure, Table
from snw_dist.report.run.words import DIGITS, METRIC_WORDS, auroc_axis, metric_of, three, with_interval

_NETWORK, _CONTROLS = "the network", "controls"


def controls_figure(metrics: dict[str, Any], splits: Sequence[str]) -> Figure:
    """A panel a split: the network and every control, the best above."""
    return Figure(
        "quality_controls",
        "The network and the controls",
        "A **control** is a simple method, such as a look at one side alone, or trees on the letters of both. A "
        "network is worth its cost where its point lies right of all of theirs. Lines are 95 % intervals. At 0.5 a "
        "method guesses; far left of it, it ranks backwards, and turned round it would be as good as the same distance "
        "to the right. The table below says what each control is.",
        [_panel(metrics, split) for split in splits],
    )


def _panel(metrics: dict[str, Any], split: str) -> Panel:
    metric = metric_of(metrics, split)
    found = {_NETWORK: metrics["model"]} | dict(metrics["controls"])
    figures = {name: one["splits"][split]["metrics"][metric] for name, one in found.items()}
    names = [name for name, figure in figures.items() if figure["value"] is not None]
    names.sort(key=lambda name: -figures[name]["value"])
    marks: list[Mark] = [
        _points(label, chosen, names, figures, colour)
        for label, colour, chosen in ((_CONTROLS, 0, [n for n in names if n != _NETWORK]), (_NETWORK, 1, [_NETWORK]))
        if set(chosen) & set(names)
    ]
    if metric == "auroc":
        marks.append(Rules("guessing", (0.5,), style="dot"))
    across = auroc_axis(figures.values()) if metric == "auroc" else Axis(METRIC_WORDS[metric])
    return Panel(tuple(marks), across, Axis(names=tuple(names)), split, height=70 + 24 * max(2, len(names)))


def _points(label: str, chosen: list[str], names: list[str], figures: dict[str, Any], colour: int) -> Points:
    rows = np.array([[figures[name][end] for end in ("value", "low", "high")] for name in chosen], dtype=np.float64)
    at = np.array([names.index(name) for name in chosen], dtype=np.float64)
    texts = tuple(f"{name}: {with_interval(figures[name])}" for name in chosen)
    return Points(label, rows[:, 0], at, rows[:, 1], rows[:, 2], along="x", colour=colour, texts=texts)


def controls_table(metrics: dict[str, Any], splits: Sequence[str]) -> Table:
    """What each control is, and what it reaches."""
    rows: list[list[Cell]] = []
    for name, control in metrics["controls"].items():
        figures = [control["splits"][split]["metrics"][metric_of(metrics, split)]["value"] for split in splits]
        rows.append([name, control["meaning"], *figures])
    columns = [Column(f"{METRIC_WORDS[metric_of(metrics, split)]}, {split}", 3) for split in splits]
    return Table(
        "quality_controls_meaning",
        "What the controls are",
        "What one of them reaches needs no embeddings and no network.",
        [Column("control"), Column("what it is"), *columns],
        rows,
    )


def strata_figure(metrics: dict[str, Any], splits: Sequence[str]) -> Figure:
    """The network and the best control by how much of a pair was seen in training."""
    entries = [(split, stratum) for split in splits for stratum in metrics["splits"][split]["strata"]]
    names, network, rival = [], [], []
    for split, stratum in entries:
        facts = metrics["splits"][split]["strata"][stratum]
        names.append(f"{stratum}: {split} ({facts['num_pairs']:,})")
        network.append(metrics["model"]["splits"][split]["strata"][stratum]["metrics"]["auroc"])
        best = metrics["comparison"].get(split, {}).get("best_control")
        control = metrics["controls"][best]["splits"][split]["strata"][stratum]["metrics"]["auroc"] if best else None
        rival.append(control or dict.fromkeys(("value", "low", "high")))
    marks: list[Mark] = [
        _of_strata("best control of the split", rival, names, 0, 0.14),
        _of_strata(_NETWORK, network, names, 1, -0.14),
        Rules("guessing", (0.5,), style="dot"),
    ]
    return Figure(
        "quality_strata",
        "Seen and unseen sequences",
        "A **stratum** is the pairs of a split of which both sequences, one, or none were seen in training (pairs "
        "in brackets). Pairs of unseen sequences are harder, and are what counts for new proteins. Lines are 95 % "
        "intervals.",
        [Panel(tuple(marks), auroc_axis(network + rival), Axis(names=tuple(names)), height=80 + 56 * len(names))],
    )


def _of_strata(label: str, figures: list[Any], names: list[str], colour: int, shift: float) -> Points:
    rows = np.array([[figure[end] for end in ("value", "low", "high")] for figure in figures], dtype=np.float64)
    at = np.arange(len(names), dtype=np.float64) + shift
    texts = tuple(f"{label}, {name}: {with_interval(figure)}" for name, figure in zip(names, figures, strict=True))
    return Points(label, rows[:, 0], at, rows[:, 1], rows[:, 2], along="x", colour=colour, texts=texts)


def metrics_table(metrics: dict[str, Any], splits: Sequence[str]) -> Table:
    """Every metric of the network, with its interval."""
    rows: list[list[Cell]] = []
    for metric in METRICS:
        figures = [metrics["model"]["splits"][split]["metrics"][metric] for split in splits]
        cells = [_cell(figure, DIGITS.get(metric, 3)) for figure in figures]
        rows.append([METRIC_WORDS[metric], *cells, metrics["meaning"]["metrics"].get(metric, METRICS[metric])])
    return Table(
        "quality_metrics",
        "All figures of the network",
        "Intervals in brackets are of 95 %. val chose weights, threshold and calibration: its figures are flattered.",
        [Column("figure"), *(Column(split) for split in splits), Column("what it is")],
        rows,
    )


def _cell(figure: dict[str, float | None], digits: int) -> str:
    value, low, high = (figure[name] for name in ("value", "low", "high"))
    if value is None:
        return three(None)
    shown = f"{value:.{digits}f}"
    return shown if low is None or high is None else f"{shown} [{low:.{digits}f}, {high:.{digits}f}]"
