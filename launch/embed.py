"""Embed every distinct sequence of a run once: `python launch/embed.py --nodes 4`."""

import sys
from pathlib import Path

if not __package__:  # run by its path: the repository takes the place of launch/ on the module path
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    import launch  # noqa: F401 - ends here where the environment is forgotten

from typing import Annotated

import typer

from launch._allocation import allocation_of, queued_again
from launch._cli import DEFAULT_CONFIG, ConfigOption, RunOption, SetOption, main, new_app, read_settings
from launch._submit import (
    ClusterOption,
    DetachOption,
    DryRunOption,
    NodesOption,
    PartitionOption,
    ProfileOption,
    TasksOption,
    TimeOption,
    cluster_overrides,
    job_name,
    submit_and_follow,
)
from snw_dist.config import SnwConfig
from snw_dist.config_file import parse_layers
from snw_dist.extras import require

app = new_app()
ArrayOption = Annotated[
    int | None, typer.Option("--array", metavar="N", help="Overrides cluster.array: N jobs with shards of their own.")
]
LayerOption = Annotated[
    str | None, typer.Option("--layer", metavar="L[,L...]", help="Overrides encoder.layer; -1 is the last.")
]
CombineOption = Annotated[
    str | None, typer.Option("--combine", metavar="concat|mean", help="Overrides encoder.combine.")
]
CheckEncoderOption = Annotated[
    bool,
    typer.Option("--verify-encoder", help="First compare the encoder with transformers' on a sample of the input."),
]
AppendOption = Annotated[bool, typer.Option("--append", help="Add what a complete store does not hold yet.")]
VerifyOption = Annotated[bool, typer.Option("--verify", help="Only check every byte of the store.")]
RepairOption = Annotated[bool, typer.Option("--repair", help="Make again what is damaged, and nothing else.")]


@app.command()
def embed_command(
    config: ConfigOption = DEFAULT_CONFIG,
    run: RunOption = None,
    set_values: SetOption = None,
    nodes: NodesOption = None,
    tasks_per_node: TasksOption = None,
    array: ArrayOption = None,
    layer: LayerOption = None,
    combine: CombineOption = None,
    verify_encoder: CheckEncoderOption = False,
    append: AppendOption = False,
    verify: VerifyOption = False,
    repair: RepairOption = False,
    cluster: ClusterOption = None,
    profile: ProfileOption = None,
    partition: PartitionOption = None,
    time_min: TimeOption = None,
    detach: DetachOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Fill the embedding store of a run; what is committed already is verified and kept."""
    require("crc32c", "zarr", *(["transformers"] if verify_encoder else []))
    if append + verify + repair > 1:
        raise typer.BadParameter("--append, --verify and --repair exclude each other")
    overrides = cluster_overrides(nodes, tasks_per_node, cluster, profile, time_min, array)
    overrides |= {"run.name": run, "encoder.combine": combine}
    overrides |= {"encoder.layer": parse_layers(layer), "encoder.verify": verify_encoder or None}
    settings = read_settings(config, overrides, set_values)
    job = "append" if append else "verify" if verify else "repair" if repair else "embed"
    again = queued_again(settings.cluster, settings.run_folder, job_name(job, settings))
    if job in ("embed", "append") and not again and not _work(settings, append):
        return
    submit_and_follow(settings, job, _ENTRY_POINTS[job], settings.encoder.device, partition, detach, dry_run)


def _work(settings: SnwConfig, append: bool) -> bool:
    """Say what is to be done, if anything is; raises what speaks against it."""
    from snw_dist.data.ensure import with_prepared
    from snw_dist.embedding.estimate import check_embedding

    here = allocation_of(settings.cluster)
    tasks = None if here is None else [here.array_task]
    work = with_prepared(settings, lambda prepared: check_embedding(settings, prepared, append, tasks))
    print(f"{settings.store_path} holds every sequence of the input already" if work is None else work)
    return work is not None


_ENTRY_POINTS = {
    "embed": "snw_dist.embedding.run:run_embedding",
    "append": "snw_dist.embedding.run:run_append",
    "verify": "snw_dist.embedding.repair_job:run_verification",
    "repair": "snw_dist.embedding.repair_job:run_repair",
}

if __name__ == "__main__":
    main(app)
