"""What of a run may be deleted: checkpoints that nothing needs any more.

| in a run that has finished | |
|---|---|
| newest checkpoint | stays: training goes on from it |
| checkpoint of the best validation | stays: a lost export is made again from it |
| multiples of `train.keep_every` | stay: they were asked for |
| all others, and those that were set aside | may go |

Everything else stays: the export, the bundle, the evaluation, the data and the store. A run that has not finished keeps
all that it has, and so does one of which a job waits or runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hpc.disk.reading import BadFileError, read_json
from hpc.disk.storage import stored_below
from hpc.errors import SnwError
from hpc.save.checkpoint import committed_checkpoints, step_of
from hpc.save.checkpoint_names import is_set_aside
from hpc.save.claims import refuse_in_use
from hpc.save.fence import OWNER
from hpc.save.retention import prune_checkpoints, remove
from snw_dist.runs.compared import CONFIG
from snw_dist.runs.facts import CHECKPOINTS
from snw_dist.trained_run.folder import Finished, read_finished


@dataclass(frozen=True)
class Prunable:
    """What may go of one run."""

    run: Path
    checkpoints: list[Path]
    set_aside: list[Path]
    kept: frozenset[int]
    """Steps that stay beside the newest one."""
    num_bytes: int


def prunable(run: Path) -> Prunable | None:
    """What may go of a run of which no job waits or runs; None where nothing may.

    A run whose end or settings cannot be read keeps everything.
    """
    try:
        finished = read_finished(run)
        if finished is None or not (run / "export").is_dir():
            return None
        kept = _kept(run, finished)
    except (SnwError, BadFileError, OSError, LookupError, TypeError):
        return None
    root = run / CHECKPOINTS
    checkpoints = [path for path in committed_checkpoints(root)[:-1] if step_of(path) not in kept]
    aside = sorted(path for path in root.iterdir() if is_set_aside(path.name)) if root.is_dir() else []
    num_bytes = sum(stored_below(path)[0] for path in (*checkpoints, *aside))
    return Prunable(run, checkpoints, aside, kept, num_bytes) if checkpoints or aside else None


def prune(found: Sequence[Prunable]) -> int:
    """Delete it, and return how many folders have gone.

    The newest checkpoint of each run is verified before; a damaged one is set aside, and the one before it stays in its
    place. Raises `EnvironmentProblem`, before anything of a run is deleted, where a job has claimed it meanwhile.
    """
    refuse_in_use([(one.run, OWNER) for one in found])
    gone = 0
    for one in found:
        if (now := prunable(one.run)) is not None:  # it may have been trained further meanwhile
            gone += len(prune_checkpoints(one.run / CHECKPOINTS, 1, one.kept | now.kept))
            gone += sum(remove(path) for path in one.set_aside)
    return gone


def _kept(run: Path, finished: Finished) -> frozenset[int]:
    """Steps of checkpoints that stay whatever comes after them."""
    every = read_json(run / CONFIG)["train"]["keep_every"]
    steps = map(step_of, committed_checkpoints(run / CHECKPOINTS))
    return frozenset(step for step in steps if step == finished.best["step"] or (every and step % every == 0))
