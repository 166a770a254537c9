"""How long an embedding job will take, by the last job like it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpc.amounts import duration
from hpc.disk.json_lines import read_json_lines
from hpc.disk.reading import BadFileError, read_json
from hpc.errors import CorruptError
from hpc.job.request import past_requests
from snw_dist.config import SnwConfig, config_to_dict

RECORDS_OF_RANKS = "embedding"
"""Folder of a run in which each rank leaves a line for each shard."""
_ENCODER = ("name", "weights", "layer", "combine", "precision", "device")
_ENTRY_POINTS = tuple(f"snw_dist.embedding.run:run_{what}" for what in ("embedding", "append"))


@dataclass(frozen=True)
class PastSpeed:
    """Of an earlier job."""

    run: str
    ranks: int
    residues_per_s: float
    """Of one rank."""


def expected_time(config: SnwConfig, num_residues: int) -> str:
    """A sentence on how long a job that embeds so many residues will take.

    There is no trial: the machine that submits is mostly not like the nodes, and would have to read the weights.
    """
    past = past_speed(config)
    if past is None:
        return "How long it takes is not known before the first such job; snw-dist status tells the time left"
    ranks = past.ranks if _is_here(config) else _ranks(config)
    seconds = num_residues / (past.residues_per_s * ranks)
    return f"About {duration(seconds)}: a rank of run {past.run} did {past.residues_per_s:,.0f} residues a second"


def past_speed(config: SnwConfig) -> PastSpeed | None:
    """Of the last job with this encoder, on the same cluster, of any run in `run.folder`; None where there is none."""
    wanted = config_to_dict(config)
    for request in past_requests(Path(config.run.folder)):
        run = request.parents[2]
        try:
            values = read_json(request)
            alike = values["entry_point"] in _ENTRY_POINTS and _alike(values["config"], wanted)
            rate = _rate(run) if alike else 0.0
            if rate:
                return PastSpeed(run.name, int(read_json(request.with_name("submitted.json"))["num_tasks"]), rate)
        except (BadFileError, CorruptError, OSError, LookupError, TypeError, ValueError, AttributeError):
            continue
    return None


def _alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    same_encoder = all(one["encoder"][key] == other["encoder"][key] for key in _ENCODER)
    return same_encoder and all(one["cluster"][key] == other["cluster"][key] for key in ("cluster", "profile"))


def _rate(run: Path) -> float:
    """Residues a second of one rank, over all shards of a run; 0 where none is recorded."""
    residues, seconds = 0, 0.0
    for path in (run / RECORDS_OF_RANKS).glob("*.jsonl"):
        for record in read_json_lines(path):
            residues += int(record["residues"])
            seconds += float(record["seconds"])
    return residues / seconds if seconds > 0 else 0.0


def _is_here(config: SnwConfig) -> bool:
    """Whether the job is going to run on this machine, whose ranks share its processors."""
    kind = config.cluster.cluster
    return kind == "local" or (kind == "auto" and shutil.which("srun") is None)


def _ranks(config: SnwConfig) -> int:
    cluster = config.cluster
    return cluster.nodes * (cluster.tasks_per_node or 1) * cluster.array
