"""Taking up the newest checkpoint of a run: found, compared with the settings of now, and read."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hpc.ranks.communicator import Communicator
from hpc.save.checkpoint import Checkpoint, find_checkpoint
from snw_dist.train.engine import Engine
from snw_dist.train.identity import Identity
from snw_dist.train.lines import new_schedule
from snw_dist.train.plan import TrainPlan
from snw_dist.train.portable import restore_random_state
from snw_dist.train.progress import Progress
from snw_dist.train.saved import Expected, verifier
from snw_dist.train.saves import Saves
from snw_dist.trained_run.changes import differing, other_measure
from snw_dist.trained_run.folder import refuse_lost_checkpoints
from snw_dist.trained_run.resumable import check_resumable, refuse_fewer_steps


@dataclass(frozen=True)
class TakenUp:
    """From where a job goes on; without a checkpoint that is the beginning."""

    path: Path | None = None
    saved: Progress | None = None
    """What the checkpoint says."""
    progress: Progress = field(default_factory=Progress)
    changes: list[str] = field(default_factory=list)
    """What is not as it was, and allowed; in words."""


def take_up(
    identity: Identity,
    plan: TrainPlan,
    rate: Callable[[int, int], float],
    engine: Engine,
    comm: Communicator,
    saves: Saves,
) -> TakenUp:
    """Collective: take up the newest checkpoint that verifies, if there is any; never silently start from zero.

    `rate(step, num_steps)`: the schedule of the learning rate. Nothing in the run folder is changed.
    """
    folder = identity.config.run_folder
    verify = verifier(Expected(identity.trajectory, plan.num_steps, engine.facts()["parameters"]))
    found = find_checkpoint(folder / "checkpoints", comm, verify)
    saves.begin_from(found, verify)
    if found is None:
        comm.on_rank_0(lambda: refuse_lost_checkpoints(folder))
        return TakenUp()
    changes = _allowed_changes(found, identity, plan, rate)
    identity.lineage.follow(found.meta["provenance"])
    state, place = found.meta["state"], (comm.rank, comm.world_size)
    engine.load(found.path, state, comm)
    restore_random_state(found.path, state["num_files"], *place, identity.config.run.seed, found.step)
    saved = Progress(**found.meta["progress"])
    progress = dataclasses.replace(saved)
    if other_measure(differing(found.meta["trajectory"], identity.trajectory), identity.config.train.monitor):
        # The best so far is of another measure, and might stay the best for ever: these weights begin anew.
        progress.begin_anew()
        changes.append("the best validation counts from here, because it is measured in another way now")
    return TakenUp(found.path, saved, progress, changes)


def _allowed_changes(
    found: Checkpoint, identity: Identity, plan: TrainPlan, rate: Callable[[int, int], float]
) -> list[str]:
    """Raises `InputError` where the checkpoint is of another run, and the user has not allowed that."""
    section, of_run = identity.config.train, found.meta["trajectory"]
    changes = check_resumable(
        of_run,
        identity.trajectory,
        section.allow_precision_change,
        section.allow_changes,
        section.micro_batch_size,
        lambda: identity.lineage.changes(found.meta["provenance"]),
    )
    refuse_fewer_steps(str(found.path), found.step, plan.num_steps, section)
    return [*changes, *new_schedule(plan, found.step, of_run, rate)]
