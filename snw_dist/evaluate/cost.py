"""What an evaluation that is a job costs, said before it is submitted: pairs, and the time of the last job like it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hpc.amounts import duration
from hpc.disk.reading import BadFileError, read_json
from hpc.errors import CorruptError
from hpc.job.request import past_requests
from hpc.progress import read_progress
from snw_dist.config import SnwConfig, config_to_dict
from snw_dist.data.prepared import read_summary
from snw_dist.evaluate.measure.held_out import TRAIN
from snw_dist.trained_run.watched import EVALUATION

TOOK = "took_s"
"""Figure of the job's progress: seconds since it began."""
_UNKNOWN = "How long it takes is not known before the first such job; snw-dist status tells the time left"


def evaluation_cost(config: SnwConfig) -> str:
    """A line on the pairs, and on the time of the last job in `run.folder` with such a network on the same data.

    Call it when `check_evaluation` has passed.
    """
    splits = read_summary(config.data_folder)["splits"]
    pairs = sum(int(split["pairs"]) for name, split in splits.items() if name != TRAIN)
    return f"{pairs:,} held-out pairs, {config.evaluate.bootstrap:,} draws of the bootstrap. {_time(config)}"


def _time(config: SnwConfig) -> str:
    wanted = config_to_dict(config)
    for request in past_requests(Path(config.run.folder)):
        try:
            values = read_json(request)
            if values["entry_point"] != EVALUATION or not _alike(values["config"], wanted):
                continue
            [record] = read_progress(request.parent / "progress")
            took = record.figures[TOOK]
        except (BadFileError, CorruptError, OSError, LookupError, TypeError, ValueError):
            continue
        if took is not None and record.done == record.total:
            return f"That of run {request.parents[2].name} took {duration(took)}"
    return _UNKNOWN


def _alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    same = all(one[section] == other[section] for section in ("data", "model", "evaluate"))
    return same and all(one["cluster"][key] == other["cluster"][key] for key in ("cluster", "profile"))
