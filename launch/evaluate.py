"""Measure the trained network of a run on its held-out splits: `python launch/evaluate.py`."""

import sys
from pathlib import Path

if not __package__:  # run by its path: the repository takes the place of launch/ on the module path
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    import launch  # noqa: F401 - ends here where the environment is forgotten

from typing import Annotated, Any

import typer

from hpc.errors import InputError
from hpc.shown import console, printable
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
    ClusterOption,
    DetachOption,
    NodesOption,
    PartitionOption,
    ProfileOption,
    TimeOption,
    cluster_overrides,
    submit_and_follow,
)
from snw_dist.config import SnwConfig
from snw_dist.extras import require
from snw_dist.trained_run.watched import EVALUATION

app = new_app()
AllowChangesOption = Annotated[
    bool,
    typer.Option(
        "--allow-changes", help="Measure on other data than trained on, without the pairs that were; recorded."
    ),
]


@app.command()
def evaluate_command(
    config: ConfigOption = DEFAULT_CONFIG,
    run: RunOption = None,
    set_values: SetOption = None,
    allow_changes: AllowChangesOption = False,
    all_metrics: AllMetricsOption = False,
    nodes: NodesOption = None,
    cluster: ClusterOption = None,
    profile: ProfileOption = None,
    partition: PartitionOption = None,
    time_min: TimeOption = None,
    detach: DetachOption = False,
) -> None:
    """Metrics with intervals beside the controls, as a table, JSON and pictures; here, or with --nodes 1 as a job."""
    require("crc32c", "scipy", "sklearn", "matplotlib")
    from snw_dist.evaluate.report import read_metrics
    from snw_dist.evaluate.run import evaluate_run

    of_job = {"--cluster": cluster, "--profile": profile, "--partition": partition, "--time-min": time_min}
    _refuse_half_a_job(nodes, {**of_job, "--detach": detach or None})
    one_rank = cluster_overrides(1, 1, cluster, profile, time_min) if nodes else {}
    overrides = {"run.name": run, "evaluate.allow_changes": allow_changes or None, **one_rank}
    settings = read_settings(config, overrides, set_values)
    if not nodes:
        _show(settings, evaluate_run(settings), all_metrics)
        return
    _say_cost(settings)
    if submit_and_follow(settings, "evaluate", EVALUATION, settings.train.device, partition, detach):
        _show(settings, read_metrics(settings.run_folder / "evaluation"), all_metrics)


def _say_cost(settings: SnwConfig) -> None:
    """What is known before a job is submitted; raises what speaks against it."""
    from snw_dist.evaluate.cost import evaluation_cost
    from snw_dist.evaluate.run import check_evaluation

    check_evaluation(settings)
    print(evaluation_cost(settings))


def _refuse_half_a_job(nodes: int | None, of_job: dict[str, Any]) -> None:
    given = [option for option, value in of_job.items() if value is not None]
    if nodes is None and given:
        raise InputError(f"{', '.join(given)}: only for an evaluation that is a job. Add --nodes 1.")
    if nodes not in (None, 1):
        raise InputError(f"--nodes {nodes}: an evaluation is one process. Use --nodes 1, or leave it out to run here.")


def _show(settings: SnwConfig, metrics: dict[str, Any], all_metrics: bool) -> None:
    from snw_dist.evaluate.measurable import left_out_lines
    from snw_dist.evaluate.terminal_table import printed

    console(120).print(printed(metrics, all_metrics))
    for difference in metrics["provenance"].get("differences", []):
        print(f"Not the data that the network was trained on: {printable(difference)}")
    for line in left_out_lines(metrics["provenance"].get("left_out", {})):
        print(printable(line))
    print(f"Written to {settings.run_folder / 'evaluation'}")
    say_report(lambda: _report(settings))


def _report(settings: SnwConfig) -> Path:
    from snw_dist.report.run.page import report_run

    return report_run(settings)


if __name__ == "__main__":
    main(app)
