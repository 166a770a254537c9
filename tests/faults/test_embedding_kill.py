"""SIGKILL and stop requests in the middle of embedding, then other numbers of ranks: always the same bytes."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from hpc.checkpoint import file_digest
from snw_dist.config import SnwConfig, config_from_dict, config_to_dict
from snw_dist.data.prepared import ensure_prepared
from tests.ranks import run_ranks, start_ranks

pytestmark = [pytest.mark.faults, pytest.mark.distributed, pytest.mark.timeout(300)]
ENTRY_POINT = "snw_dist.embedding.run:run_embedding"
DATA = Path(__file__).parents[1] / "data" / "mhc_binding"
REPEATS = int(os.environ.get("SNW_FAULT_REPEATS", "4"))


def configuration(folder: Path, store: str) -> SnwConfig:
    values: dict[str, Any] = {
        "run": {"name": store, "folder": str(folder / "runs")},
        "data": {key: str(DATA / f"{key}.fasta") for key in ("ligands", "receptors")}
        | {"pairs": str(DATA / "pairs.csv"), "columns": {"binary": "binds"}},
        "store": {"path": str(folder / store), "shard_rows": 512, "chunk_rows": 64},
        "encoder": {"tokens_per_batch": 256},
    }
    config = config_from_dict(values)
    ensure_prepared(config)
    return config


def tree(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): file_digest(p) for p in sorted(folder.rglob("*")) if p.is_file()}


def records(config: SnwConfig) -> list[dict[str, Any]]:
    files = sorted((config.run_folder / "embedding").glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("clean")
    config = configuration(folder, "clean.zarr")
    for rank in run_ranks(ENTRY_POINT, 1, config_to_dict(config), folder):
        assert rank.returncode == 0, rank.log
    return tree(config.store_path)


@pytest.mark.parametrize("seed", range(REPEATS))
def test_killed_at_a_random_moment(tmp_path: Path, clean: dict[str, str], seed: int) -> None:
    chance = random.Random(seed)
    config = configuration(tmp_path, f"killed{seed}.zarr")
    first, second = chance.choice([1, 2, 3]), chance.choice([1, 2, 3])
    with start_ranks(ENTRY_POINT, first, config_to_dict(config), tmp_path / "first") as ranks:
        ranks.wait_for(lambda: len(list((config.store_path / ".parts").glob("*.safetensors"))) >= 3)
        time.sleep(chance.uniform(0, 0.5))
        ranks.send(signal.SIGKILL)
        ranks.finish()
    for rank in run_ranks(ENTRY_POINT, second, config_to_dict(config), tmp_path / "second"):
        assert rank.returncode == 0, rank.log
    assert tree(config.store_path) == clean
    done = [record["shard"] for record in records(config)]
    assert len(done) - len(set(done)) <= first, "more than one shard a rank was computed twice"


def test_a_stop_request_keeps_what_is_committed(tmp_path: Path, clean: dict[str, str]) -> None:
    config = configuration(tmp_path, "stopped.zarr")
    with start_ranks(ENTRY_POINT, 2, config_to_dict(config), tmp_path / "first") as ranks:
        ranks.wait_for(lambda: len(list((config.store_path / ".parts").glob("*.safetensors"))) >= 3)
        ranks.send(signal.SIGTERM, 1)  # one rank only
        codes = [rank.returncode for rank in ranks.finish()]
    assert codes == [75, 75]
    for rank in run_ranks(ENTRY_POINT, 2, config_to_dict(config), tmp_path / "second"):
        assert rank.returncode == 0, rank.log
    assert tree(config.store_path) == clean
    done = [record["shard"] for record in records(config)]
    assert len(done) == len(set(done)), "a shard was computed twice"
