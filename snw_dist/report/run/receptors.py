"""Each receptor by itself: how well its ligands are ranked, and how much better than by chance the first ones are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from snw_dist.arrays import BoolArray, FloatArray, IntArray
from snw_dist.metrics.bootstrap import interval, plan_draws
from snw_dist.metrics.curves import Curve, auroc, curve_of, enrichment, ranked
from snw_dist.report.marks import Axis, Lines, Panel, Points, Rules
from snw_dist.report.page import Cell, Column, Figure, Table

MOST_NAMED = 60
"""Receptors of a panel that have a line of their own; more are drawn as one rising curve."""
_REPEATS = 200
_LEAST = 5
"""Binders, and non-binders, of a receptor that gets an interval. Of one binder every draw says the same or nothing, so
the interval of the receptor of which least is known would be the shortest."""
_MOST_DRAWN = 2000
"""Receptors that get an interval; with more they would take minutes."""
_PERCENT = 5


class Receptor(NamedTuple):
    """One receptor in one split."""

    split: str
    name: str
    pairs: int
    positives: int
    auroc: float
    """NaN where it has one class."""
    low: float
    """NaN where there is no interval; likewise `high`."""
    high: float
    enrichment: float
    """Of the best 5 %."""
    missed: int
    """Binders that are not called so."""
    alarms: int
    """Non-binders that are called binders."""


def receptors_of(held: pd.DataFrame, threshold: float | None, seed: int) -> list[Receptor]:
    """All receptors of each split, by id.

    held: columns split, receptor_id, positive, score, of held-out pairs.
    """
    drawn = len(held.drop_duplicates(["split", "receptor_id"])) <= _MOST_DRAWN
    found = []
    for (split, name), rows in held.groupby(["split", "receptor_id"], sort=False, observed=True):
        positive, score = rows["positive"].to_numpy(dtype=np.bool_), rows["score"].to_numpy(dtype=np.float64)
        called = score >= (np.inf if threshold is None else threshold)
        wrong = int((positive & ~called).sum()), int((~positive & called).sum())
        enough = min(int(positive.sum()), int((~positive).sum())) >= _LEAST
        figures = _figures(positive, score, _REPEATS if drawn and enough else 0, seed)
        found.append(Receptor(str(split), str(name), positive.size, int(positive.sum()), *figures, *wrong))
    return found


def _figures(positive: BoolArray, score: FloatArray, repeats: int, seed: int) -> tuple[float, float, float, float]:
    """AUROC, the ends of its interval by drawing pairs again, and the enrichment."""
    if not positive.any() or positive.all():
        return (np.nan,) * 4
    group = ranked(score)
    whole = _curve(group, positive, np.ones((positive.size, 1)))
    draws = plan_draws(np.zeros(positive.size, dtype=np.int64), repeats, seed)
    again = [auroc(_curve(group, positive, counts)) for counts in draws.chunks()]
    low, high = interval(np.concatenate(again)) if again else (np.nan, np.nan)
    return float(auroc(whole)[0]), low, high, float(enrichment(whole, _PERCENT)[0])


def _curve(group: IntArray, positive: BoolArray, counts: FloatArray) -> Curve:
    """counts: [pairs, repeats], how often each pair is there."""
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    sums = [np.add.reduceat((counts * chosen[:, None])[order], starts, axis=0) for chosen in (positive, ~positive)]
    return curve_of(sums[0], sums[1])


def receptors_figure(receptors: list[Receptor]) -> Figure:
    """A panel a split: the AUROC of every receptor that has binders and non-binders."""
    panels = []
    for split in dict.fromkeys(one.split for one in receptors):
        known = sorted((r for r in receptors if r.split == split and not np.isnan(r.auroc)), key=lambda r: -r.auroc)
        if known:
            panels.append(_named(split, known) if len(known) <= MOST_NAMED else _curve_of_many(split, known))
    return Figure(
        "quality_receptors",
        "Each receptor by itself",
        "The **AUROC** among the pairs of one receptor. A mean over receptors can hide that some of them are no "
        "better than guessing (0.5). Lines are 95 % intervals, by drawing the pairs of the receptor again. A point "
        f"without a line has fewer than {_LEAST} binders or {_LEAST} non-binders: its place says next to nothing. "
        "Receptors with binders alone, or without any, have no AUROC and are in the table only.",
        panels,
    )


def _named(split: str, known: list[Receptor]) -> Panel:
    values, low, high = (np.array([getattr(r, name) for r in known]) for name in ("auroc", "low", "high"))
    points = Points(
        "receptor", values, np.arange(len(known), dtype=np.float64), low, high, along="x", texts=_texts(known)
    )
    marks = (points, Rules("guessing", (0.5,), style="dot"))
    names = tuple(r.name for r in known)
    return Panel(marks, Axis("AUROC"), Axis(names=names), split, height=70 + 19 * len(known))


def _curve_of_many(split: str, known: list[Receptor]) -> Panel:
    """Their names are told by pointing at a place of the curve, and in the table."""
    at = np.arange(1, len(known) + 1, dtype=np.float64)
    values, low, high = (np.array([getattr(r, name) for r in known]) for name in ("auroc", "low", "high"))
    has = np.isfinite(low)
    marks = (
        Lines("95 % interval of each receptor", at[has], values[has], low[has], high[has]),
        Points("receptor", at, values, texts=_texts(known), faint=True),
        Rules("guessing", (0.5,), upright=False, style="dot"),
    )
    return Panel(marks, Axis(f"place among the {len(known):,} receptors"), Axis("AUROC", high=1.01), split, wide=True)


def _texts(known: list[Receptor]) -> tuple[str, ...]:
    return tuple(f"{r.name}\nAUROC {r.auroc:.3f}{_between(r)}\n{r.pairs:,} pairs, {r.positives:,} bind" for r in known)


def _between(receptor: Receptor) -> str:
    return "" if np.isnan(receptor.low) else f" [{receptor.low:.3f}, {receptor.high:.3f}]"


def receptors_table(receptors: list[Receptor]) -> Table:
    """The same as figures, with the enrichment and the errors."""
    order = sorted(receptors, key=lambda r: (np.isnan(r.auroc), r.auroc))
    rows: list[list[Cell]] = [
        [r.name, r.split, r.pairs, r.positives, r.auroc, r.low, r.high, r.enrichment, r.missed, r.alarms] for r in order
    ]
    return Table(
        "quality_receptors_table",
        "Receptors, the hardest first",
        f"**Enrichment** is the share of binders among the {_PERCENT} % of its pairs that score best, divided by their "
        "share among all of its pairs: 1 is chance. **Missed** are binders that are not called so, **false alarms** "
        "non-binders that are. Click a heading to sort.",
        [
            *(Column("receptor"), Column("split"), Column("pairs"), Column("binders"), Column("AUROC", 3)),
            *(Column("from", 3), Column("to", 3), Column(f"enrichment, best {_PERCENT} %", 2)),
            *(Column("missed"), Column("false alarms")),
        ],
        rows,
    )
