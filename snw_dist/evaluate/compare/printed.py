"""What `comparison.json` says, for a terminal of 80 columns or more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from hpc.amounts import duration
from snw_dist.evaluate.measurable import left_out_lines
from snw_dist.evaluate.measure.verdict import METRIC_NAMES, turned_round
from snw_dist.evaluate.tables import (
    Row,
    all_tables,
    best_of,
    counts,
    empty_table,
    first_table,
    is_graded,
    spaced,
    turned_notes,
)
from snw_dist.evaluate.terminal_table import learned_from_lines


def comparison_table(comparison: Mapping[str, Any], all_metrics: bool = False) -> Group:
    """What `Comparison.plain` returned: networks beside the best control, what they cost, and the verdicts.

    With `all_metrics` every metric, of the networks and of each control.
    """
    bootstrap, splits = comparison["bootstrap"], comparison["splits"]
    sections = [list(_rows(comparison, split, all_metrics)) for split in splits]
    tables = all_tables(sections, bootstrap) if all_metrics else [first_table(sections, bootstrap, is_graded(splits))]
    lines = "\n".join([*([] if all_metrics else turned_notes(sections)), *_lines(comparison, all_metrics)])
    return Group(*spaced(tables), *spaced([_cost_table(comparison["models"])]), Text(lines))


def _rows(comparison: Mapping[str, Any], split: str, all_metrics: bool) -> Iterator[Row]:
    """A split with its best control, then the networks and ensembles; with `all_metrics` the controls too."""
    controls = {name: control["splits"][split]["metrics"] for name, control in comparison["controls"].items()}
    yield Row(split, note=f"  {counts(comparison['splits'][split])}", best=best_of(controls))
    for kind in ("models", "ensembles", *(["controls"] if all_metrics else [])):
        if kind != "models" and comparison[kind]:
            yield Row(f" {kind}")
        for name, measured in comparison[kind].items():
            yield Row(f"  {name}", measured["splits"][split]["metrics"])


def _cost_table(models: Mapping[str, Any]) -> Table:
    """What each network is and took; of several runs the mean time, and every device."""
    table = empty_table(gap=2)
    table.add_column("network", overflow="fold")
    for heading in ("parameters", "training"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("device", overflow="fold")
    for name, model in models.items():
        runs = list(model["trained"].values())
        sizes = " / ".join(dict.fromkeys(f"{run['parameters']:,}" for run in runs))
        times = [run["training_s"] for run in runs if run["training_s"] is not None]
        devices = dict.fromkeys(_device(run) for run in runs)
        mean = duration(sum(times) / len(times)) if times else "-"
        table.add_row(*map(Text, (name, sizes or "-", mean, ", ".join(devices) or "-")))
    return table


def _device(run: Mapping[str, Any]) -> str:
    several = f"{run['num_ranks']} x " if (run["num_ranks"] or 1) > 1 else ""
    return f"{several}{run['device'] or '-'}"


def _lines(comparison: Mapping[str, Any], all_metrics: bool) -> Iterator[str]:
    yield f"encoder: {comparison['encoder']}"
    folds, models, networks = comparison["folds"], comparison["models"], comparison["networks"]
    if folds > 1:
        units = {fold["bootstrap"]["unit"] for facts in comparison["splits"].values() for fold in facts["of_folds"]}
        drawn = "proteins" if "protein" in units else "receptors"
        yield f"all figures: mean over {folds} folds; intervals resample the {drawn} of each fold"
    numbers = {-(-len(model["runs"]) // folds) for model in models.values()}
    if max(numbers) > 1:
        yield f"networks: mean over {'/'.join(map(str, sorted(numbers)))} runs of different seeds"
    if comparison["ensembles"]:
        yield "ensemble: mean of the calibrated probabilities of all runs of a network, or of all networks"
    if not all_metrics:
        yield "all metrics and controls: --all-metrics, or the file below"
    yield "training: seconds of all steps and validations of a run, over all its starts"
    yield from (line for fold in comparison["learned_from"] for line in learned_from_lines(fold))
    if networks is not None:
        chosen = networks["chosen_by"]
        yield f"best network on {chosen['split']}: {networks['best']}, by {_named(chosen)}"
        if max(numbers) == 1:
            yield "one run of each network: another seed may change their order, which no interval knows (--seeds)"
    for split, verdicts in comparison["verdicts"].items():
        yield from (verdict["sentence"] for verdict in verdicts.values())
        if networks is not None:
            yield from (verdict["sentence"] for verdict in networks["verdicts"][split].values())
        if (line := turned_round(comparison["controls"], split)) is not None:
            yield line
    yield from (line for fold in comparison["left_out"] for line in left_out_lines(fold))
    if comparison["missing"]:
        yield f"Not there, because their jobs failed: {', '.join(comparison['missing'])}"


def _named(chosen: Mapping[str, Any]) -> str:
    return f"{METRIC_NAMES[chosen['metric']]} {chosen['value']:.3f}"
