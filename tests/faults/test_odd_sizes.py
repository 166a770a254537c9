"""Numbers of ranks that do not fit the work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hpc.errors import InputError
from snw_dist.config import SnwConfig, config_from_dict, config_to_dict
from snw_dist.data.ensure import ensure_prepared
from snw_dist.embedding.store.reader import StoreReader
from tests.kit.ranks import run_ranks

pytestmark = [pytest.mark.faults, pytest.mark.distributed, pytest.mark.timeout(300)]
DATA = Path(__file__).parents[1] / "data" / "mhc_binding"


def configuration(folder: Path, store: str, **paths: str) -> SnwConfig:
    values: dict[str, Any] = {
        "run": {"name": store, "folder": str(folder / "runs")},
        "data": {name: str(DATA / f"{name}.fasta") for name in ("ligands", "receptors")}
        | {"pairs": str(DATA / "pairs.csv"), "columns": {"binary": "binds"}}
        | paths,
        "store": {"path": str(folder / f"{store}.zarr"), "shard_rows": 65_536},
    }
    return config_from_dict(values)


def embedded(folder: Path, world_size: int) -> dict[str, bytes]:
    config = configuration(folder, f"of{world_size}")
    ensure_prepared(config)
    ranks = run_ranks(
        "snw_dist.embedding.run:run_embedding", world_size, config_to_dict(config), folder / f"{world_size}"
    )
    assert [rank.returncode for rank in ranks] == [0] * world_size, ranks[-1].log
    assert StoreReader(config.store_path).header.num_shards < 4
    files = sorted(path for path in config.store_path.rglob("*") if path.is_file())
    return {str(path.relative_to(config.store_path)): path.read_bytes() for path in files}


def test_more_ranks_than_shards_and_one_rank_alone(tmp_path: Path) -> None:
    assert embedded(tmp_path, 4) == embedded(tmp_path, 1)


def test_nothing_to_embed(tmp_path: Path) -> None:
    (tmp_path / "empty.fasta").touch()
    config = configuration(tmp_path, "empty", ligands=str(tmp_path / "empty.fasta"))
    with pytest.raises(InputError, match=r"empty\.fasta"):
        ensure_prepared(config)
    assert not config.store_path.exists()
