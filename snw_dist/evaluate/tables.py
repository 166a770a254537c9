"""Tables of figures for a terminal of 80 columns, from the plain data of `metrics.json` or `comparison.json`.

By default what is read first: AUROC, AUPRC and the best control. All metrics are three tables: one would be too wide.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from snw_dist.evaluate.measure.measured import DECISIVE
from snw_dist.evaluate.measure.verdict import Strongest, strongest, turned

WITH_INTERVAL = {"auroc": "AUROC", "auprc": "AUPRC", "spearman": "rho"}
_ALONE = (
    {"mcc": "MCC", "f1": "F1", "brier": "Brier", "ece": "ECE", "pearson": "r"},
    {"ef_1": "EF1%", "ef_5": "EF5%", "bedroc": "BEDROC", "hit_1": "hit@1", "hit_5": "hit@5"},
)
Metrics = Mapping[str, Mapping[str, Any]]
"""Metric -> value, low, high; None where it is not defined."""


class Row(NamedTuple):
    """A row of figures; one without metrics is a heading."""

    name: str
    metrics: Metrics | None = None
    note: str = ""
    """Such as how many pairs there are."""
    best: tuple[Strongest, Mapping[str, Any]] | None = None
    """The best control, and its figure: value, low, high."""


def best_of(controls: Mapping[str, Metrics]) -> tuple[Strongest, Mapping[str, Any]] | None:
    """The control that is best on the same pairs, by AUROC or where there is one class by rank correlation."""
    for metric in DECISIVE:
        values = {name: metrics[metric]["value"] for name, metrics in controls.items()}
        best = strongest({name: math.nan if value is None else value for name, value in values.items()}, metric)
        if best is not None:
            figure = controls[best.name][metric]
            if not best.turned:
                return best, figure
            low, high = (None if figure[end] is None else turned(figure[end], metric) for end in ("high", "low"))
            return best, {"value": best.value, "low": low, "high": high}
    return None


def first_table(sections: Iterable[Sequence[Row]], bootstrap: Mapping[str, Any], graded: bool) -> Table:
    """AUROC, AUPRC and the best control, and where labels are graded rank correlation.

    A row is two lines high: the interval stands below the figure, so that the columns are narrow.
    """
    table = empty_table(gap=1)
    interval = f"\n[{bootstrap['level']:.0%}]" if bootstrap["repeats"] else "\n"
    table.add_column(Text("split\n  pairs"), overflow="fold")
    shown = [name for name in WITH_INTERVAL if graded or name != "spearman"]
    for name in shown:
        table.add_column(Text(f"{WITH_INTERVAL[name]}{interval}"), justify="right", no_wrap=True)
    table.add_column(Text(f"best control\nits AUROC{interval.replace(chr(10), ' ')}"), overflow="fold")
    for rows in sections:
        for row in rows:
            cells = [Text(_above(row.metrics[metric])) if row.metrics else Text() for metric in shown]
            table.add_row(_named(row), *cells, _best(row.best))
        table.add_section()
    return table


def all_tables(sections: Sequence[Sequence[Row]], bootstrap: Mapping[str, Any]) -> Iterator[Table]:
    """All metrics, in three tables: first those that are shown with their intervals."""
    interval = f" [{bootstrap['level']:.0%}]" if bootstrap["repeats"] else ""
    for names in (WITH_INTERVAL, *_ALONE):
        with_interval = names is WITH_INTERVAL
        table = empty_table(gap=1 if with_interval else 2)
        table.add_column("split", overflow="fold")
        for heading in names.values():
            table.add_column(Text(f"{heading}{interval if with_interval else ''}"), justify="right", no_wrap=True)
        for rows in sections:
            for row in rows:
                figures = [_cell(name, row.metrics[name], with_interval) for name in names] if row.metrics else []
                table.add_row(_named(row), *figures)
            table.add_section()
        yield table


def turned_notes(sections: Iterable[Iterable[Row]]) -> list[str]:
    """What the star in `first_table` means, where there is one."""
    best = [row.best[0] for rows in sections for row in rows if row.best is not None]
    return ["*: ranks backwards, so the figure is that of the opposite order"] if any(b.turned for b in best) else []


def spaced(tables: Iterable[Table]) -> Iterator[RenderableType]:
    """With an empty line after each."""
    for table in tables:
        yield from (table, Text())


def counts(facts: Mapping[str, Any]) -> str:
    """How many pairs a split or stratum has, and how many of them are positive."""
    return f"{facts['num_pairs']:,}, {facts['num_positive']:,} pos."


def is_graded(splits: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether there are labels other than 0 and 1."""
    return any(facts["graded"] for facts in splits.values())


def decimal(value: float | None) -> str:
    """Three decimals, and no zero before the point: the table must fit."""
    return "-" if value is None else f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.3f}"


def empty_table(gap: int) -> Table:
    """`gap`: columns between two cells; one is the line of the box."""
    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, gap - 1, 0, 0))


def _named(row: Row) -> Text:
    name = Text(row.name, style="" if row.name.startswith(" ") else "bold")
    return Text("\n").join([name, Text(row.note)]) if row.note else name


def _best(best: tuple[Strongest, Mapping[str, Any]] | None) -> Text:
    if best is None:
        return Text()
    found, figure = best
    name = f"{found.name}*" if found.turned else found.name
    metric = "" if found.metric == "auroc" else f"{WITH_INTERVAL[found.metric]} "
    return Text(f"{name}\n{metric}{_beside(figure)}")


def _cell(name: str, metric: Mapping[str, Any], with_interval: bool) -> Text:
    if with_interval:
        return Text(_beside(metric))
    value = metric["value"]
    return Text(f"{value:.1f}" if name.startswith("ef_") and value is not None else decimal(value))


def _beside(metric: Mapping[str, Any]) -> str:
    interval = _interval(metric)
    return f"{decimal(metric['value'])} {interval}" if interval else decimal(metric["value"])


def _above(metric: Mapping[str, Any]) -> str:
    return f"{decimal(metric['value'])}\n{_interval(metric)}"


def _interval(metric: Mapping[str, Any]) -> str:
    low, high = metric["low"], metric["high"]
    return "" if low is None else f"[{decimal(low)}, {decimal(high)}]"
