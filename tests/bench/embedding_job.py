"""The real embedding job over a collection, timed by its own records."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from snw_dist.config import config_from_dict, config_to_dict
from snw_dist.data.prepare import prepare
from tests.kit.ranks import run_ranks


class JobRate(NamedTuple):
    """How fast a job was, from the first shard's start to the last commit."""

    residues_per_s: float
    waited_share: float
    """Of the ranks' time, waiting for a shard to be written."""


def job_rate(
    sequences: Sequence[str],
    weights: Path,
    num_ranks: int,
    *,
    device: str = "cpu",
    threads: int = 1,
    tokens_per_batch: int | None = None,
    store: Mapping[str, Any] | None = None,
) -> JobRate:
    """Embed the distinct ones of `sequences`; `store` is that section of the configuration."""
    with tempfile.TemporaryDirectory(prefix="snw-embedding-") as name:
        folder = Path(name)
        distinct = list(dict.fromkeys(sequences))
        for kind, own in (("ligands", distinct[::2]), ("receptors", distinct[1::2])):
            (folder / f"{kind}.fasta").write_text("".join(f">{kind}{i}\n{s}\n" for i, s in enumerate(own)))
        pairs = [f"ligands{i},receptors0,{i % 2},{('train', 'val', 'test')[i % 3]}" for i in range(12)]
        (folder / "pairs.csv").write_text("\n".join(["ligand_id,receptor_id,label,split", *pairs]) + "\n")
        values: dict[str, Any] = {
            "run": {"name": "r", "folder": str(folder)},
            "data": {kind: str(folder / f"{kind}.fasta") for kind in ("ligands", "receptors")}
            | {"pairs": str(folder / "pairs.csv")},
            "encoder": {"name": "esmc", "weights": str(weights), "tokens_per_batch": tokens_per_batch},
            "store": dict(store or {}),
        }
        config = config_from_dict(values)
        prepare(config)
        entry_point, env = "snw_dist.embedding.run:run_embedding", {"OMP_NUM_THREADS": str(threads)}
        for rank in run_ranks(entry_point, num_ranks, config_to_dict(config), folder, 900, env, device=device):
            assert rank.returncode == 0, rank.log
        files = (config.run_folder / "embedding").glob("*.jsonl")
        records = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    seconds = max(r["at"] for r in records) - min(record["at"] - record["seconds"] for record in records)
    waited = sum(record["waited_for_writer_s"] for record in records)
    return JobRate(sum(r["residues"] for r in records) / seconds, waited / seconds / num_ranks)
