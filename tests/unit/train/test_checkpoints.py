"""When the state of a run is saved: once a step, and the one before is committed first."""

from types import SimpleNamespace
from typing import Any
from unittest import mock

from hpc.ranks.communicator import Communicator
from snw_dist.train.checkpoints import Checkpoints
from snw_dist.train.progress import Progress
from snw_dist.train.saves import Committed


class Saved:
    """In place of `Saves`: notes what is begun and committed."""

    def __init__(self) -> None:
        self.done: list[tuple[str, int]] = []
        self.in_flight: Any = None
        self.writing, self.total_held_s = False, 0.5

    def begin(self, progress: Progress, meta: dict[str, Any], write: Any, started: float) -> None:
        assert self.in_flight is None
        self.in_flight = progress
        self.done.append(("begin", meta["progress"]["step"]))

    def commit(self, started: float) -> Committed | None:
        progress, self.in_flight = self.in_flight, None
        if progress is None:
            return None
        self.done.append(("commit", progress.step))
        return Committed(progress.step, 0.1, 0.2, 3)


def begun(saved: Progress | None) -> tuple[Checkpoints, Saved, mock.Mock]:
    saves, record, identity = Saved(), mock.Mock(), SimpleNamespace(trajectory={}, provenance={})
    parts: list[Any] = [saves, mock.Mock(), identity, record, Communicator.alone(), mock.Mock()]
    return Checkpoints(*parts, saved), saves, record


def test_a_state_is_saved_once_and_the_one_in_flight_is_committed_first() -> None:
    checkpoints, saves, record = begun(None)
    progress = Progress(step=1)
    checkpoints.save(progress)
    checkpoints.save(progress)
    assert saves.done == [("begin", 1)]
    assert not checkpoints.any  # what is begun is not there yet
    progress.step = 2
    checkpoints.save(progress)
    assert saves.done == [("begin", 1), ("commit", 1), ("begin", 2)]
    progress.step = 3  # training went on meanwhile
    checkpoints.commit()
    checkpoints.commit()
    assert saves.done[3:] == [("commit", 2)]
    assert checkpoints.any
    assert [call.args[0].step for call in record.save.call_args_list] == [1, 2]
    checkpoints.save_and_commit(progress)
    assert saves.done[4:] == [("begin", 3), ("commit", 3)]


def test_what_was_taken_up_is_not_saved_again() -> None:
    checkpoints, saves, _ = begun(Progress(step=1))
    assert checkpoints.any
    checkpoints.save_and_commit(Progress(step=1))
    assert saves.done == []
    checkpoints.save(Progress(step=1, unvalidated=True))
    assert saves.done == [("begin", 1)]
