"""What `metrics.json` says, for a terminal of 80 columns or more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group
from rich.text import Text

from snw_dist.evaluate.measure.held_out import VAL
from snw_dist.evaluate.measure.verdict import turned_round
from snw_dist.evaluate.tables import (
    Row,
    all_tables,
    best_of,
    counts,
    decimal,
    first_table,
    is_graded,
    spaced,
    turned_notes,
)

FEW_RECEPTORS = 20
"""With fewer receptors than this the text says that intervals by receptor are coarse."""


def printed(metrics: Mapping[str, Any], all_metrics: bool = False) -> Group:
    """The figures of the model beside the best control in every split, what they mean, and the verdicts.

    metrics: what `report.evaluate_scores` returned, or `metrics.json` read back. With `all_metrics` every metric, of
    the model and of each control.
    """
    bootstrap, graded = metrics["bootstrap"], is_graded(metrics["splits"])
    if all_metrics:
        tables = list(all_tables([_all_rows(metrics, split) for split in metrics["splits"]], bootstrap))
        names, notes = set(metrics["controls"]), []
    else:
        sections = [list(_first_rows(metrics, split)) for split in metrics["splits"]]
        tables = [first_table(sections, bootstrap, graded)]
        names = {row.best[0].name for rows in sections for row in rows if row.best is not None}
        notes = turned_notes(sections)
    shown = {name: control for name, control in metrics["controls"].items() if name in names}
    return Group(*spaced(tables), Text("\n".join([*notes, *_notes(metrics, shown, all_metrics)])))


def learned_from_lines(learned_from: Mapping[str, Mapping[str, int] | None]) -> list[str]:
    """A line for each control that was learned from a part of the training pairs only.

    learned_from: control -> as `metrics.json` has it, None for one that learns nothing.
    """
    return [
        f"{name}: learned from {learned['num_pairs']:,} of {learned['num_train']:,} training pairs, drawn by chance"
        for name, learned in learned_from.items()
        if learned is not None and learned["num_pairs"] < learned["num_train"]
    ]


def _first_rows(metrics: Mapping[str, Any], split: str) -> Iterator[Row]:
    """The model in a split, and in its strata where there are several."""
    facts, model = metrics["splits"][split], metrics["model"]["splits"][split]
    controls = {name: control["splits"][split] for name, control in metrics["controls"].items()}
    best = best_of({name: control["metrics"] for name, control in controls.items()})
    yield Row(split, model["metrics"], f"  {counts(facts)}", best)
    if len(facts["strata"]) > 1:
        for stratum, of_stratum in facts["strata"].items():
            best = best_of({name: control["strata"][stratum]["metrics"] for name, control in controls.items()})
            yield Row(f"  {stratum}", model["strata"][stratum]["metrics"], f"  {counts(of_stratum)}", best)


def _all_rows(metrics: Mapping[str, Any], split: str) -> list[Row]:
    """The model and all controls in a split; in its strata the model and the control that is best in the split."""
    facts = metrics["splits"][split]
    rows = {"model": metrics["model"]["splits"][split]}
    rows |= {name: control["splits"][split] for name, control in metrics["controls"].items()}
    found = [Row(split, note=f"  {counts(facts)}")]
    found += [Row(f"  {name}", measured["metrics"]) for name, measured in rows.items()]
    if len(facts["strata"]) > 1:
        best = metrics["comparison"].get(split, {}).get("best_control")
        for stratum, of_stratum in facts["strata"].items():
            found.append(Row(f" {stratum}", note=f"  {counts(of_stratum)}"))
            names = ["model", *([best] if best else [])]
            found += [Row(f"  {name}", rows[name]["strata"][stratum]["metrics"]) for name in names]
    return found


def _notes(metrics: Mapping[str, Any], shown: Mapping[str, Any], all_metrics: bool) -> Iterator[str]:
    """`shown`: the controls that are in the tables."""
    bootstrap, model, controls = metrics["bootstrap"], metrics["model"], metrics["controls"]
    yield f"encoder: {metrics['provenance']['encoder']}"
    if bootstrap["repeats"]:
        yield f"[{bootstrap['level']:.0%}]: bootstrap interval of {bootstrap['repeats']:,} repeats"
    limit = decimal(model["threshold"])
    yield f"threshold {limit}, calibration ({_method(model)}) from {VAL}, which flatters it; each control has its own"
    if is_graded(metrics["splits"]) or all_metrics:
        yield "rho, r: Spearman's and Pearson's correlation with the label"
    yield (
        "Brier, ECE: of the calibrated probability; EF: enrichment factor"
        if all_metrics
        else "all metrics and controls: --all-metrics, or metrics.json"
    )
    for split, facts in metrics["splits"].items():
        entry, [*strata] = model["splits"][split], facts["strata"]
        before, after = entry["uncalibrated"]["ece"], entry["metrics"]["ece"]["value"]
        fitted = " (fitted here)" if split == VAL else ""
        error = f"calibration error (ECE) {decimal(before)}, {decimal(after)} after calibration"
        seen = f"of the two sequences of a pair {strata[0]} in training; " if len(strata) == 1 else ""
        drawn = f"; {_drawn(facts['bootstrap'])}" if bootstrap["repeats"] else ""
        yield f"{split}: {seen}{error}{fitted}{drawn}"
    if shown:
        yield ""
        yield from (f"{name}: {control['meaning']}" for name, control in shown.items())
        yield from learned_from_lines({name: control["learned_from"] for name, control in controls.items()})
    yield ""
    for split, comparison in metrics["comparison"].items():
        yield comparison["sentence"]
        if line := turned_round(controls, split):
            yield line


def _drawn(units: Mapping[str, Any]) -> str:
    coarse = " (few, so coarse)" if units["unit"] != "pair" and units["num_units"] < FEW_RECEPTORS else ""
    dropped = units["repeats_of_one_class"]
    left_out = f", {dropped} repeats of one class left out" if dropped else ""
    return f"intervals resample {units['num_units']:,} {units['unit']}s{coarse}{left_out}"


def _method(model: Mapping[str, Any]) -> str:
    temperature = model["calibration"]["temperature"]
    return f"{model['calibration']['method']}{'' if temperature is None else f' {temperature:.3f}'}"
