"""Train several networks on the same data, split and seeds, and print one table: `python launch/compare.py`."""

import sys
from functools import partial
from pathlib import Path

if not __package__:  # run by its path: the repository takes the place of launch/ on the module path
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    import launch  # noqa: F401 - ends here where the environment is forgotten

from typing import Annotated

import typer

from hpc.shown import console
from launch._cli import (
    DEFAULT_CONFIG,
    AllMetricsOption,
    ConfigOption,
    RunOption,
    SetOption,
    main,
    new_app,
    read_settings,
)
from launch._report import say_report
from launch._submit import (
    AllowChangesOption,
    AllowPrecisionOption,
    ClusterOption,
    NodesOption,
    PartitionOption,
    ProfileOption,
    TasksOption,
    TimeOption,
    change_overrides,
    cluster_overrides,
    run_all,
    submit_and_follow,
)
from snw_dist.config import SnwConfig
from snw_dist.extras import require
from snw_dist.trained_run.watched import TRAINING

EMBEDDING = "snw_dist.embedding.run:run_embedding"
Runs = list[tuple[SnwConfig, dict[str, list[SnwConfig]]]]
"""For each fold its settings, and the jobs of each network by its name."""
app = new_app()
ModelsOption = Annotated[str, typer.Option("--models", metavar="A[,B...]", help="Names of the networks.")]
SeedsOption = Annotated[
    str | None, typer.Option("--seeds", metavar="N[,N...]", help="A run for each seed; when absent run.seed alone.")
]
FoldsOption = Annotated[
    bool, typer.Option("--all-folds", help="Cross-validate: every one of data.split.folds, not data.split.fold alone.")
]


@app.command()
def compare_command(
    models: ModelsOption,
    config: ConfigOption = DEFAULT_CONFIG,
    run: RunOption = None,
    set_values: SetOption = None,
    seeds: SeedsOption = None,
    all_folds: FoldsOption = False,
    all_metrics: AllMetricsOption = False,
    allow_precision_change: AllowPrecisionOption = False,
    allow_changes: AllowChangesOption = False,
    nodes: NodesOption = None,
    tasks_per_node: TasksOption = None,
    cluster: ClusterOption = None,
    profile: ProfileOption = None,
    partition: PartitionOption = None,
    time_min: TimeOption = None,
) -> None:
    """One job for each network and seed, as a Slurm array; what is missing is prepared and embedded first."""
    require("deepspeed", "zarr", "scipy", "sklearn")
    from snw_dist.data.ensure import as_prepared

    overrides = {
        "run.name": run,
        "evaluate.allow_changes": allow_changes or None,
        **change_overrides(allow_precision_change, allow_changes),
        **cluster_overrides(nodes, tasks_per_node, cluster, profile, time_min),
    }
    settings = read_settings(config, overrides, set_values, as_prepared)
    runs = _checked_runs(settings, models.split(","), _numbers(seeds) or [settings.run.seed], all_folds)
    _embed(settings, partition)
    code = _train(settings, [job for _, group in runs for jobs in group.values() for job in jobs], partition)
    _show(settings, runs, all_folds, all_metrics)
    if code:
        raise typer.Exit(code)


def _checked_runs(settings: SnwConfig, models: list[str], seeds: list[int], all_folds: bool) -> Runs:
    from snw_dist.data.ensure import with_prepared
    from snw_dist.evaluate.compare.folds import folds_of
    from snw_dist.evaluate.compare.runs import variants
    from snw_dist.train.precheck import check_run_folders

    folds = folds_of(settings) if all_folds else [settings]
    runs = [(fold, variants(fold, models, seeds)) for fold in folds]
    for fold, group in runs:
        jobs = [job for members in group.values() for job in members]
        with_prepared(fold, partial(check_run_folders, jobs), settings.train.allow_changes)
    return runs


def _embed(settings: SnwConfig, partition: str | None) -> None:
    from snw_dist.data.ensure import ensure_prepared
    from snw_dist.embedding.estimate import check_embedding

    work = check_embedding(settings, ensure_prepared(settings), append=False)
    if work:
        print(work)
        submit_and_follow(settings, "embed", EMBEDDING, settings.encoder.device, partition, detach=False)


def _train(settings: SnwConfig, jobs: list[SnwConfig], partition: str | None) -> int | None:
    """The exit code that explains most."""
    from snw_dist.train.cost import costs_by_network
    from snw_dist.train.precheck import check_training

    for job in jobs:
        check_training(job)
    for line in costs_by_network(jobs):
        print(line)
    return run_all(settings, jobs, "compare", TRAINING, settings.train.device, partition)


def _show(settings: SnwConfig, runs: Runs, all_folds: bool, all_metrics: bool) -> None:
    from snw_dist.evaluate.compare.folds import CROSS_VALIDATION, compare_folds
    from snw_dist.evaluate.compare.printed import comparison_table
    from snw_dist.evaluate.compare.runs import COMPARISON, compare_runs

    comparison = compare_folds(settings, runs) if all_folds else compare_runs(*runs[0])
    console(120).print(comparison_table(comparison.plain(), all_metrics))
    print(f"Written to {settings.run_folder / 'compare' / (CROSS_VALIDATION if all_folds else COMPARISON)}")
    say_report(lambda: _report(settings))


def _report(settings: SnwConfig) -> Path:
    from snw_dist.report.comparison.page import report_comparison

    return report_comparison(settings.run_folder / "compare")


def _numbers(seeds: str | None) -> list[int]:
    try:
        return [int(seed) for seed in seeds.split(",")] if seeds else []
    except ValueError:
        raise typer.BadParameter(f"--seeds {seeds!r}: give numbers with commas between them") from None


if __name__ == "__main__":
    main(app)
