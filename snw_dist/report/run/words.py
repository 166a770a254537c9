"""Figures as a report says them, and the names of its splits and metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from snw_dist.evaluate.measure.held_out import TRAIN, VAL
from snw_dist.report.marks import Axis

METRIC_WORDS = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "mcc": "MCC",
    "f1": "F1",
    "brier": "Brier",
    "ece": "calibration error",
    "spearman": "rank correlation",
    "pearson": "correlation",
    "ef_1": "enrichment, best 1 %",
    "ef_5": "enrichment, best 5 %",
    "bedroc": "BEDROC",
    "hit_1": "hit in the first",
    "hit_5": "hit in the first 5",
}
DIGITS = {"ef_1": 2, "ef_5": 2}


def three(value: float | None) -> str:
    """Such as 0.912; a dash where nothing is defined."""
    return "–" if value is None else f"{value:.3f}"


def within(figure: Mapping[str, float | None]) -> str:
    """The interval of a figure, such as `0.871 to 0.938`; nothing where there is none."""
    low, high = figure["low"], figure["high"]
    return "" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def with_interval(figure: Mapping[str, float | None]) -> str:
    """Such as `0.912 [0.871, 0.938]`."""
    between = within(figure).replace(" to ", ", ")
    return f"{three(figure['value'])} [{between}]" if between else three(figure["value"])


def tested_splits(metrics: Mapping[str, Any]) -> list[str]:
    """The held-out splits that nothing was chosen on; `val` where there is no other."""
    return [name for name in metrics["splits"] if name not in (TRAIN, VAL)] or [VAL]


def auroc_axis(figures: Iterable[Mapping[str, float | None]]) -> Axis:
    """An axis with all figures and their intervals on it, and with 0.5, which is guessing."""
    ends = [end for figure in figures for name in ("value", "low") if (end := figure[name]) is not None]
    return Axis("AUROC", low=max(0.0, min(0.5, *ends) - 0.03) if ends else 0.0, high=1.01)


def listed(names: Iterable[str]) -> str:
    """Such as `a, b and c`."""
    *first, last = list(names) or [""]
    return f"{', '.join(first)} and {last}" if first else last


def metric_of(metrics: Mapping[str, Any], split: str) -> str:
    """By what a split is told: AUROC, or rank correlation where it has one class."""
    return "auroc" if metrics["model"]["splits"][split]["metrics"]["auroc"]["value"] is not None else "spearman"
