"""Two ranks that do what one does, on whatever device: processors with gloo, CUDA devices with NCCL."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch

from hpc.save.checkpoint import checkpoint_name
from snw_dist.config import Precision, SnwConfig, config_from_dict, config_to_dict
from snw_dist.data.ensure import ensure_prepared
from snw_dist.embedding.row_reader import read_rows
from snw_dist.embedding.store.reader import StoreReader
from tests.bench.elastic import SAVED_AT, Case, Setting, differences, embedded, name_of
from tests.kit.ranks import run_ranks
from tests.kit.shipped import DATA

_STEPS = 6


def embedding_difference(folder: Path, device: str) -> float:
    """The largest difference of the rows of a store that two ranks have filled from that of one, relative."""
    (_, one), (config, two) = (_store_of(folder, num_ranks, device) for num_ranks in (1, 2))
    shards = [
        {json.loads(line)["shard"] for line in file.read_text().splitlines()}
        for file in sorted((config.run_folder / "embedding").glob("rank_*.jsonl"))
    ]
    assert len(shards) == 2
    assert all(shards)
    assert not shards[0] & shards[1]
    assert one.shape == two.shape
    return float((two - one).abs().max() / one.abs().max())


def _store_of(folder: Path, num_ranks: int, device: str) -> tuple[SnwConfig, torch.Tensor]:
    """The configuration of a store that so many ranks have filled, and its rows."""
    values: dict[str, Any] = {
        "run": {"name": f"of{num_ranks}", "folder": str(folder)},
        "data": {name: str(DATA / f"{name}.fasta") for name in ("ligands", "receptors")}
        | {"pairs": str(DATA / "pairs.csv"), "columns": {"binary": "binds"}},
        "store": {"path": str(folder / f"of{num_ranks}.zarr"), "shard_rows": 1024},
    }
    config = config_from_dict(values)
    ensure_prepared(config)
    entry_point = "snw_dist.embedding.run:run_embedding"
    for rank in run_ranks(entry_point, num_ranks, config_to_dict(config), folder / f"{num_ranks}", device=device):
        assert rank.returncode == 0, rank.log
    reader = StoreReader(config.store_path)
    return config, torch.cat([read_rows(reader, number) for number in range(reader.header.num_sequences)]).float()


def training_differences(folder: Path, device: str, precision: Precision) -> dict[str, float]:
    """Of the loss when two ranks go on in stages 1 to 3 from a checkpoint of one, from that of the one; relative."""
    base = embedded(folder, precision)
    base = dataclasses.replace(base, train=dataclasses.replace(base.train, device=device))
    cases = [Case(Setting(1, 0), Setting(2, stage)) for stage in (1, 2, 3)]
    found = differences(base, cases, _STEPS, folder)
    for case in cases:
        last = folder / name_of(case) / "checkpoints" / checkpoint_name(SAVED_AT + _STEPS)
        assert len(list(last.glob("state_*"))) == 2
    return {name_of(case): value for case, value in found.items()}
