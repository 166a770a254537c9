"""Embed every distinct sequence of a run once: `python launch/embed.py --nodes 4`."""

import sys
from pathlib import Path

if not __package__:  # run by its path: the repository takes the place of launch/ on the module path
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from launch._cli import DEFAULT_CONFIG, ConfigOption, RunOption, main, new_app
from launch._submit import (
    ClusterOption,
    DetachOption,
    NodesOption,
    PartitionOption,
    ProfileOption,
    TasksOption,
    TimeOption,
    cluster_overrides,
    submit_and_follow,
)
from snw_dist.config import load_config
from snw_dist.data.prepared import ensure_prepared
from snw_dist.embedding.run import check_embedding

app = new_app()


@app.command()
def embed_command(
    config: ConfigOption = DEFAULT_CONFIG,
    run: RunOption = None,
    nodes: NodesOption = None,
    tasks_per_node: TasksOption = None,
    cluster: ClusterOption = None,
    profile: ProfileOption = None,
    partition: PartitionOption = None,
    time_min: TimeOption = None,
    detach: DetachOption = False,
) -> None:
    """Fill the embedding store of a run; what is committed already is verified and kept."""
    overrides = cluster_overrides(nodes, tasks_per_node, cluster, profile, time_min)
    settings = load_config(config, {"run.name": run, **overrides})
    ensure_prepared(settings)
    check_embedding(settings)
    submit_and_follow(
        settings, "embed", "snw_dist.embedding.run:run_embedding", settings.encoder.device, partition, detach
    )


if __name__ == "__main__":
    main(app)
