"""A run on the shipped data with its store: what the tests and benchmarks of training begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from snw_dist.config import SnwConfig, config_from_dict, config_to_dict
from snw_dist.data.ensure import ensure_prepared
from tests.kit.ranks import run_ranks

DATA = Path(__file__).parents[1] / "data" / "mhc_binding"


def embedded_run(folder: Path, name: str, **sections: dict[str, Any]) -> SnwConfig:
    """The configuration of run `name` in `folder`, prepared and embedded; `sections` add to it or replace."""
    values: dict[str, Any] = {
        "run": {"name": name, "folder": str(folder)},
        "data": {key: str(DATA / f"{key}.fasta") for key in ("ligands", "receptors")}
        | {"pairs": str(DATA / "pairs.csv"), "columns": {"binary": "binds"}},
        "store": {"path": str(folder / "store.zarr")},
    }
    for section, own in sections.items():
        values[section] = values.get(section, {}) | own
    config = config_from_dict(values)
    ensure_prepared(config)
    for rank in run_ranks("snw_dist.embedding.run:run_embedding", 1, config_to_dict(config), folder / "embed"):
        assert rank.returncode == 0, rank.log
    return config
