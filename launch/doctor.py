"""Would a job of this run work here? `python launch/doctor.py --nodes 4` asks on the nodes themselves."""

import sys
from pathlib import Path

if not __package__:  # run by its path: the repository takes the place of launch/ on the module path
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    import launch  # noqa: F401 - ends here where the environment is forgotten

import typer

from hpc.shown import console
from launch._cli import DEFAULT_CONFIG, ConfigOption, RunOption, SetOption, main, new_app, read_settings
from launch._submit import (
    ClusterOption,
    NodesOption,
    PartitionOption,
    ProfileOption,
    TasksOption,
    TimeOption,
    cluster_overrides,
    run_all,
)
from snw_dist.extras import require

app = new_app()


@app.command()
def doctor_command(
    config: ConfigOption = DEFAULT_CONFIG,
    run: RunOption = None,
    set_values: SetOption = None,
    nodes: NodesOption = None,
    tasks_per_node: TasksOption = None,
    cluster: ClusterOption = None,
    profile: ProfileOption = None,
    partition: PartitionOption = None,
    time_min: TimeOption = None,
) -> None:
    """Start the ranks as training would, ask everything that can be asked in seconds, and print a line for each."""
    require("crc32c", "deepspeed")
    from snw_dist.doctor import RESULT, checks_table

    overrides = {"run.name": run, **cluster_overrides(nodes, tasks_per_node, cluster, profile, time_min)}
    settings = read_settings(config, overrides, set_values)
    if not (settings.run_folder / RESULT).exists() and settings.train.device != "cuda":
        print("The first start on a node compiles DeepSpeed's extension: about a minute without a word.", flush=True)
    (settings.run_folder / RESULT).unlink(missing_ok=True)
    code = run_all(settings, [settings], "doctor", "snw_dist.doctor:run_doctor", settings.train.device, partition)
    found = checks_table(settings.run_folder)
    if found is not None:
        console(140).print(found)
    if code:
        raise typer.Exit(code)


if __name__ == "__main__":
    main(app)
