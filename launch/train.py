"""Train the network of a run: `python launch/train.py --zero 2`; started again, it goes on where it stopped."""

import shlex
import sys
from pathlib import Path

if not __package__:  # run by its path: the repository takes the place of launch/ on the module path
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    import launch  # noqa: F401 - ends here where the environment is forgotten

from typing import Annotated

import typer

from hpc.told import tell
from launch._allocation import queued_again
from launch._cli import DEFAULT_CONFIG, ConfigOption, RunOption, SetOption, main, new_app, read_settings, started_as
from launch._submit import (
    AllowChangesOption,
    AllowPrecisionOption,
    ClusterOption,
    DetachOption,
    DryRunOption,
    NodesOption,
    PartitionOption,
    ProfileOption,
    TasksOption,
    TimeOption,
    change_overrides,
    cluster_overrides,
    job_name,
    submit_and_follow,
)
from snw_dist.extras import require
from snw_dist.trained_run.watched import TRAINING

app = new_app()
ZeroOption = Annotated[int | None, typer.Option("--zero", metavar="0|1|2|3", help="Overrides train.zero_stage.")]
PrecisionOption = Annotated[
    str | None, typer.Option("--precision", metavar="fp32|bf16|fp16", help="Overrides train.precision.")
]


@app.command()
def train_command(
    config: ConfigOption = DEFAULT_CONFIG,
    run: RunOption = None,
    set_values: SetOption = None,
    zero: ZeroOption = None,
    precision: PrecisionOption = None,
    allow_precision_change: AllowPrecisionOption = False,
    allow_changes: AllowChangesOption = False,
    nodes: NodesOption = None,
    tasks_per_node: TasksOption = None,
    cluster: ClusterOption = None,
    profile: ProfileOption = None,
    partition: PartitionOption = None,
    time_min: TimeOption = None,
    detach: DetachOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Train with DeepSpeed on the stored embeddings; resumes by itself when preempted."""
    require("crc32c", "deepspeed", "tensorboard")
    from snw_dist.data.ensure import as_prepared
    from snw_dist.train.cost import training_cost
    from snw_dist.train.precheck import check_training

    overrides = cluster_overrides(nodes, tasks_per_node, cluster, profile, time_min)
    overrides |= change_overrides(allow_precision_change, allow_changes) | {
        "run.name": run,
        "train.zero_stage": zero,
        "train.precision": precision,
    }
    settings = read_settings(config, overrides, set_values, as_prepared)
    if not queued_again(settings.cluster, settings.run_folder, job_name("train", settings)):
        check_training(settings)
        print(training_cost(settings))
    submit_and_follow(settings, "train", TRAINING, settings.train.device, partition, detach, dry_run)
    tell(f"next: {_evaluation(config, settings.run.name, set_values)}")


def _evaluation(config: Path, name: str, set_values: list[str] | None) -> str:
    """The command that measures this run, with the configuration that was given for it."""
    words = [*started_as("evaluate"), "--run", name]
    words += [] if config == DEFAULT_CONFIG else ["--config", str(config)]
    for value in set_values or []:  # what is set for training alone says nothing to an evaluation
        words += [] if value.startswith(("train.", "run.name=")) else ["--set", value]
    return shlex.join(words)


if __name__ == "__main__":
    main(app)
