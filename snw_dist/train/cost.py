"""What a training job costs, said before it is submitted: steps, bytes, and time by the last job like it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from hpc.amounts import duration, short
from hpc.disk.json_lines import read_json_lines
from hpc.disk.reading import BadFileError, read_json
from hpc.errors import CorruptError
from hpc.save.checkpoint import step_of
from snw_dist.config import SnwConfig, config_to_dict
from snw_dist.data.prepared import read_summary
from snw_dist.embedding.store.reader import StoreReader
from snw_dist.model.build import count_parameters
from snw_dist.train.plan import number_of_steps
from snw_dist.trained_run.folder import newest_meta
from snw_dist.trained_run.watched import METRICS

_STATE_BYTES = 12
"""Of a checkpoint for each parameter: the float32 master, and two moments of Adam."""
_DECIDE = ("global_batch_size", "micro_batch_size", "precision", "device", "encoder_mode", "pairs_per_receptor")
"""Settings of `train` on which the time of a step depends."""
_MOST_RECORDS = 10_000
_UNKNOWN = "How long it takes is not known before the first such run; snw-dist status tells the time left"


class _Past(NamedTuple):
    run: str
    step_s: float


def training_cost(config: SnwConfig) -> str:
    """A line on the steps that are left, the bytes on disk and the time.

    Call it when `check_training` has passed. The time is that of the last run with such a network and such batches, of
    any number of ranks, in `run.folder`.
    """
    section = config.train
    pairs = int(read_summary(config.data_folder)["splits"]["train"]["pairs"])
    steps = number_of_steps(pairs, section.global_batch_size, section.epochs, section.max_steps)
    newest = newest_meta(config.run_folder)
    done = 0 if newest is None else step_of(newest[0])
    text = f"{pairs:,} training pairs, {steps:,} steps" + (f", of which {done:,} are done" if done else "")
    if section.encoder_mode == "frozen":
        count = count_parameters(config.model, StoreReader(config.store_path).header.row_width)
        at_once = section.keep_last + 2  # the best one, and the one that is being written
        text += (
            f"; {count:,} parameters; a checkpoint is about {short(count * _STATE_BYTES, 'B')}, and up to {at_once} of "
            "them are there at once"
        )
    if done >= steps:
        return f"{text}."
    past = _past(config)
    if past is None:
        return f"{text}. {_UNKNOWN}"
    seconds = (steps - done) * past.step_s
    return f"{text}. About {duration(seconds)}, by the {past.step_s:.3g} s a step of run {past.run}"


def costs_by_network(jobs: Sequence[SnwConfig]) -> Iterator[str]:
    """`training_cost` of several jobs: a line for each network, by the first run of it."""
    for name in dict.fromkeys(job.model.name for job in jobs):
        own = [job for job in jobs if job.model.name == name]
        number = f"{len(own)} runs, the first of them " if len(own) > 1 else ""
        yield f"{name}: {number}{training_cost(own[0])}"


def _past(config: SnwConfig) -> _Past | None:
    """Seconds a step, the median, of the run that was trained last with such settings."""
    wanted = config_to_dict(config)
    for run in _runs(Path(config.run.folder)):
        try:
            if not _alike(read_json(run / "config.json"), wanted):
                continue
            seconds = list(_seconds(run / METRICS))
        except (BadFileError, CorruptError, OSError, LookupError, TypeError, ValueError):
            continue
        if seconds:
            return _Past(run.name, median(seconds[-_MOST_RECORDS:]))
    return None


def _runs(folder: Path) -> list[Path]:
    """Runs that have trained, the last one first."""
    return [path.parent for path in sorted(folder.glob(f"*/{METRICS}"), key=lambda path: -path.stat().st_mtime)]


def _alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    same = one["model"] == other["model"] and all(one["train"][key] == other["train"][key] for key in _DECIDE)
    return same and all(one["cluster"][key] == other["cluster"][key] for key in ("cluster", "profile"))


def _seconds(metrics: Path) -> Iterator[float]:
    for record in read_json_lines(metrics):
        if record.get("kind") == "train":
            yield float(record["seconds"])
