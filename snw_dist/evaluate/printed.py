"""What `metrics.json` says, for a terminal of 120 columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from snw_dist.evaluate.comparison import turned_round
from snw_dist.evaluate.pairs import VAL

FEW_RECEPTORS = 20
"""With fewer receptors than this the text says that intervals by receptor are coarse."""
_SHORT = {
    "auprc": "AUPRC",
    "mcc": "MCC",
    "f1": "F1",
    "brier": "Brier",
    "ece": "ECE",
    "spearman": "rho",
    "pearson": "r",
    "ef_1": "EF1%",
    "ef_5": "EF5%",
    "bedroc": "BEDROC",
    "hit_1": "hit@1",
    "hit_5": "hit@5",
}


def printed(metrics: Mapping[str, Any]) -> Group:
    """The figures of the model and the controls in every split, what they mean, and the verdicts.

    metrics: what `report.evaluate_scores` returned, or `metrics.json` read back.
    """
    return Group(_table(metrics), Text(), Text("\n".join(_notes(metrics))))


def figures_table(first: str, bootstrap: Mapping[str, Any]) -> Table:
    """An empty table with a column of names headed `first`, and one for each of `figure_cells`."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(first, overflow="fold")
    interval = f" [{bootstrap['level']:.0%}]" if bootstrap["repeats"] else ""
    for heading in (f"AUROC{interval}", *_SHORT.values()):
        table.add_column(Text(heading), justify="right", no_wrap=True)
    return table


def figure_cells(values: Mapping[str, Any]) -> Iterator[Text]:
    """The metrics of one set of scores in one split, as `metrics.json` holds them."""
    yield Text(_with_interval(values["auroc"]))
    for name in _SHORT:
        value = values[name]["value"]
        yield Text(f"{value:.1f}" if name.startswith("ef_") and value is not None else _decimal(value))


def _table(metrics: Mapping[str, Any]) -> Table:
    table = figures_table("split", metrics["bootstrap"])
    for split, facts in metrics["splits"].items():
        [*strata] = facts["strata"]
        table.add_row(Text(split), Text(counts(facts)), style="bold")
        rows = {"model": metrics["model"], **metrics["controls"]}
        for name, measured in rows.items():
            table.add_row(Text(f"  {name}"), *figure_cells(measured["splits"][split]["metrics"]))
        if len(strata) > 1:
            best = metrics["comparison"].get(split, {}).get("best_control")
            for stratum in strata:
                table.add_row(Text(f" {stratum}"), Text(counts(facts["strata"][stratum])))
                for name in ("model", *([best] if best else [])):
                    table.add_row(
                        Text(f"  {name}"), *figure_cells(rows[name]["splits"][split]["strata"][stratum]["metrics"])
                    )
        table.add_section()
    return table


def counts(facts: Mapping[str, Any]) -> str:
    """How many pairs a split or stratum has, and how many of them are positive."""
    return f"{facts['num_pairs']:,}, {facts['num_positive']:,} pos."


def _notes(metrics: Mapping[str, Any]) -> Iterator[str]:
    bootstrap, model = metrics["bootstrap"], metrics["model"]
    yield f"encoder: {metrics['provenance']['encoder']}"
    if bootstrap["repeats"]:
        yield f"[{bootstrap['level']:.0%}]: bootstrap interval of {bootstrap['repeats']:,} repeats"
    limit = _decimal(model["threshold"])
    yield f"threshold {limit}, calibration ({_method(model)}) from {VAL}, which flatters it; each control has its own"
    yield "Brier, ECE: of the calibrated probability; rho, r: Spearman, Pearson with the label; EF: enrichment factor"
    for split, facts in metrics["splits"].items():
        entry, [*strata] = model["splits"][split], facts["strata"]
        before, after = entry["uncalibrated"]["ece"], entry["metrics"]["ece"]["value"]
        fitted = " (fitted here)" if split == VAL else ""
        seen = f"{strata[0]} in training; " if len(strata) == 1 else ""
        drawn = f"; {_drawn(facts['bootstrap'])}" if bootstrap["repeats"] else ""
        yield f"{split}: {seen}ECE {_decimal(before)} before, {_decimal(after)} after calibration{fitted}{drawn}"
    if metrics["controls"]:
        yield ""
        yield from (f"{name}: {control['meaning']}" for name, control in metrics["controls"].items())
    yield ""
    for split, comparison in metrics["comparison"].items():
        yield comparison["sentence"]
        if line := turned_round(metrics["controls"], split):
            yield line


def _drawn(units: Mapping[str, Any]) -> str:
    coarse = " (few, so coarse)" if units["unit"] != "pair" and units["num_units"] < FEW_RECEPTORS else ""
    dropped = units["repeats_of_one_class"]
    left_out = f", {dropped} repeats of one class left out" if dropped else ""
    return f"intervals resample {units['num_units']:,} {units['unit']}s{coarse}{left_out}"


def _method(model: Mapping[str, Any]) -> str:
    temperature = model["calibration"]["temperature"]
    return f"{model['calibration']['method']}{'' if temperature is None else f' {temperature:.3f}'}"


def _with_interval(metric: Mapping[str, float | None]) -> str:
    if metric["low"] is None:
        return _decimal(metric["value"])
    return f"{_decimal(metric['value'])} [{_decimal(metric['low'])}, {_decimal(metric['high'])}]"


def _decimal(value: float | None) -> str:
    """Three decimals, and no zero before the point: the table must fit."""
    return "-" if value is None else f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.3f}"
