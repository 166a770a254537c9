"""The report of a comparison as a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hpc.amounts import count_of, duration
from hpc.errors import CorruptError
from hpc.told import long_work
from snw_dist.evaluate.measurable import left_out_lines
from snw_dist.evaluate.measure.verdict import turned_round
from snw_dist.report.comparison.conclusion import conclusion, runs_of_each
from snw_dist.report.comparison.figures import cost, differences, ranking, spent
from snw_dist.report.comparison.read import comparison_file, differing, read_comparison, settings_of
from snw_dist.report.page import Block, Cell, Column, Commands, Page, Says, Section, Table
from snw_dist.report.run.words import METRIC_WORDS, listed
from snw_dist.report.write import write_report

_METRICS = ("auroc", "auprc", "mcc", "spearman", "ef_1", "ece")
_DIGITS = 16
REPORT = "comparison.html"


def report_comparison(folder: Path, to: Path | None = None) -> Path:
    """Write the report of a comparison, as `comparison.html` in the run folder or as `to`; returns its path.

    Raises as `comparison_page`.
    """
    with long_work("drawing the report"):
        return write_report(comparison_page(folder), to or comparison_file(folder).parent.parent / REPORT)


def comparison_page(folder: Path) -> Page:
    """The page of the comparison in a folder.

    Raises `InputError` where there is none, and `CorruptError` where it is damaged.
    """
    file = comparison_file(folder)
    comparison = read_comparison(file)
    try:
        return _page(file, comparison)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CorruptError(f"{file}: damaged ({error!r}). Make it again: snw-dist compare") from None


def _page(file: Path, comparison: Mapping[str, Any]) -> Page:
    run = file.parent.parent.name
    answer, tone = conclusion(comparison)
    folds = f"{comparison['folds']} folds, " if comparison["folds"] > 1 else ""
    of_each = runs_of_each(comparison)
    about = [
        ("run", run),
        ("networks", ", ".join(comparison["models"])),
        ("measured", f"{folds}{count_of(of_each, 'run')} of each network"),
        ("encoder", comparison["encoder"]),
    ]
    sections = [
        Section("quality", "Which network is better", list(_quality(comparison))),
        Section("cost", "Cost", list(_cost(comparison))),
        Section("settings", "Settings that differ", list(_settings(file, comparison))),
        Section("figures", "All figures", [_figures(comparison)]),
        Section("provenance", "Where this comes from", list(_provenance(run, comparison))),
    ]
    return Page(f"Comparison {run}", answer, tone, about, list(_warnings(comparison)), sections)


def _warnings(comparison: Mapping[str, Any]) -> Iterator[str]:
    if comparison["missing"]:
        yield f"Not there, because their jobs failed: {', '.join(comparison['missing'])}."
    for fold in comparison["left_out"]:
        yield from left_out_lines(fold)


def _quality(comparison: Mapping[str, Any]) -> Iterator[Block]:
    networks = comparison["networks"]
    if networks:
        chosen = networks["chosen_by"]
        yield Says(
            f"The best network was chosen on {chosen['split']} alone. The other splits are not for choosing: among "
            "several networks that are equal, the highest figure of a split is too high."
        )
    yield ranking(comparison)
    paired = differences(comparison)
    if paired:
        yield paired
    lines = [
        (found["sentence"], split, name, found["verdict"])
        for split in comparison["verdicts"]
        for verdicts in (comparison["verdicts"][split], networks["verdicts"][split] if networks else {})
        for name, found in verdicts.items()
    ]
    columns = [Column(name) for name in ("in words", "split", "network", "verdict")]  # a phone shows the first one
    yield Table("verdicts", "Every verdict", "Each one is that of the interval of a paired difference.", columns, lines)
    for split in comparison["verdicts"]:
        line = turned_round(comparison["controls"], split)
        if line is not None:
            yield Says(f"{line}.")


def _cost(comparison: Mapping[str, Any]) -> Iterator[Block]:
    figure = cost(comparison)
    if figure:
        yield figure
    rows: list[list[Cell]] = []
    for name, model in comparison["models"].items():
        sizes, seconds = {run["parameters"] for run in model["trained"].values()}, spent(model, "training_s")
        devices = dict.fromkeys(str(run["device"] or "not known") for run in model["trained"].values())
        ranks = dict.fromkeys(str(run["num_ranks"] or "not known") for run in model["trained"].values())
        rows.append([
            name, max(sizes, default=None), seconds, None if seconds is None else duration(seconds),
            ", ".join(devices), ", ".join(ranks), len(model["runs"]),
        ])  # fmt: skip
    columns = [Column("network"), Column("parameters"), Column("training, s", 1), Column("that is")]
    columns += [Column("device"), Column("ranks"), Column("runs")]
    says = "Seconds of all steps and validations of a run, over all its starts; of several runs the mean."
    yield Table("cost_of_networks", "Parameters and time", says, columns, rows)


def _settings(file: Path, comparison: Mapping[str, Any]) -> Iterator[Block]:
    runs = [run for model in comparison["models"].values() for run in model["runs"]]
    settings = settings_of(file, runs)
    gone = [run for run in runs if run not in settings]
    if gone:
        yield Says(f"Not read, because config.json of these runs is not there any more: {', '.join(gone)}.", "warning")
    rows: list[list[Cell]] = [
        [key, value, len(having), ", ".join(having)]
        for key, by_value in differing(settings).items()
        for value, having in by_value.items()
    ]
    columns = [Column("setting", mono=True), Column("value", mono=True), Column("runs"), Column("which")]
    says = "Everything else is the same in all runs: data, split, store and all other settings."
    yield Table("differing_settings", "What differs between the runs", says, columns, rows)


def _figures(comparison: Mapping[str, Any]) -> Table:
    kinds = {"models": "network", "ensembles": "ensemble", "controls": "control"}
    rows: list[list[Cell]] = []
    for kind, title in kinds.items():
        for name, measured in comparison[kind].items():
            for split, found in measured["splits"].items():
                metrics = found["metrics"]
                own, *others = [metrics[metric]["value"] for metric in _METRICS]
                ends = [metrics[_METRICS[0]]["low"], metrics[_METRICS[0]]["high"]]
                rows.append([split, f"{title} {name}", own, *ends, *others])
    first, *rest = [Column(METRIC_WORDS[metric], 3) for metric in _METRICS]
    columns = [Column("split"), Column("of"), first, Column("from", 3), Column("to", 3), *rest]
    says = "Empty: not defined on this split. comparison.json has more metrics, and the interval of each."
    return Table("all_figures", "All figures", says, columns, sorted(rows, key=lambda row: str(row[0])))


def _provenance(run: str, comparison: Mapping[str, Any]) -> Iterator[Block]:
    made_of: list[list[Cell]] = [
        [name, *(str(digests.get(of, ""))[:_DIGITS] for of in ("weights_sha256", "store_rows_sha256", "data_digest"))]
        for name, digests in comparison["made_of"].items()
    ]
    columns = [Column("run"), *(Column(name, mono=True) for name in ("weights", "rows of the store", "training pairs"))]
    yield Table(
        "made_of", "Digests", f"SHA-256 of what the scores are made of, the first {_DIGITS} digits.", columns, made_of
    )
    bootstrap = comparison["bootstrap"]
    yield Says(
        f"Intervals: {bootstrap['repeats']:,} repeats of the bootstrap, seed {bootstrap['seed']}, level "
        f"{bootstrap['level']:.0%}. Networks: {listed(list(comparison['models']))}."
    )
    runs = [run for model in comparison["models"].values() for run in model["runs"]]
    seeds = sorted({name.rpartition("-")[2] for name in runs}, key=int)
    folds = " --all-folds" if comparison["folds"] > 1 else ""
    models = ",".join(comparison["models"])
    yield Commands([f"snw-dist compare --run {run} --models {models} --seeds {','.join(seeds)}{folds}"])
