"""What a run folder says of its training: how it ended, and whether there must be checkpoints."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, StrictInt, StrictStr
from pydantic.dataclasses import dataclass

from hpc.disk.files import atomic_write_json, fsync_folder
from hpc.disk.reading import BadFileError, read_json
from hpc.disk.strict import validated
from hpc.errors import CorruptError
from hpc.save.checkpoint import MANIFEST, committed_checkpoints
from snw_dist.data.trained import trained_files
from snw_dist.trained_run.watched import METRICS

FINISHED = "finished.json"
_SAVED = b'"kind": "save"'


@dataclass(config=ConfigDict(extra="forbid", allow_inf_nan=False), frozen=True)
class Finished:
    """How training ended; the file is there from the end of a run until the run is trained further."""

    reason: StrictStr
    step: StrictInt
    best: dict[str, Any]
    trajectory: dict[str, Any] = field(default_factory=dict)
    """Everything that decided the weights, see `trajectory`: what it is that has finished."""
    trained_on: list[str] = field(default_factory=list)
    """As in the provenance, see `Lineage`."""
    skipped_steps: StrictInt = 0
    """Steps that changed nothing, because a gradient was too large for 16 bits."""


def write_finished(run_folder: Path, finished: Finished) -> None:
    """Say that training has ended."""
    atomic_write_json(run_folder / FINISHED, dataclasses.asdict(finished))


def read_finished(run_folder: Path) -> Finished | None:
    """How training ended, or None; raises `CorruptError` for a damaged file."""
    path = run_folder / FINISHED
    try:
        values = read_json(path)
    except FileNotFoundError:
        return None
    except (BadFileError, OSError) as error:
        raise CorruptError(f"{path}: damaged: {error}. Make it again: snw-dist train") from None
    if not isinstance(values, dict):
        raise CorruptError(f"{path}: damaged: not an object. Make it again: snw-dist train")
    return validated(Finished, values, str(path), CorruptError)


def withdraw_finished(run_folder: Path) -> None:
    """Before a run is trained further: it is not finished any more, and must not count as that if it is killed."""
    path = run_folder / FINISHED
    if path.exists():
        path.unlink()
        fsync_folder(run_folder)


def newest_meta(run_folder: Path) -> tuple[Path, Mapping[str, Any]] | None:
    """The newest checkpoint and what it says, its files unseen; None where there is none or it cannot be read.

    For a first check only: which checkpoint is taken up is decided by the job, which verifies them.
    """
    for folder in reversed(committed_checkpoints(run_folder / "checkpoints")):
        try:
            meta = read_json(folder / MANIFEST)["meta"]
            if all(isinstance(meta[part], dict) for part in ("trajectory", "provenance")):
                return folder, dict(meta)
        except (BadFileError, OSError, LookupError, TypeError):
            continue
    return None


def refuse_lost_checkpoints(run_folder: Path) -> None:
    """Call it where no checkpoint was found: raises `CorruptError` naming the files that say there were some.

    To begin at step 0 would empty the metrics and replace the export of the best weights. All of these files are
    written after the first checkpoint is committed, so a run that was killed before that may begin again.
    """
    found = [str(path.relative_to(run_folder)) for path in trained_files(run_folder)]
    if _has_saves(run_folder / METRICS):
        found.append(METRICS)
    if found:
        raise CorruptError(
            f"{run_folder / 'checkpoints'}: there is no checkpoint, but there was one: {', '.join(found)} say so. "
            "Nothing was changed. Restore the checkpoints from a backup, or begin anew in another folder: --run NAME"
        )


def _has_saves(metrics: Path) -> bool:
    if not metrics.is_file():
        return False
    with metrics.open("rb") as file:
        return any(_SAVED in line for line in iter(lambda: file.readline(1 << 16), b""))
