"""Which checkpoints stay: a damaged one holds nobody up."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from hpc.save.checkpoint import MANIFEST, checkpoint_name, find_checkpoint, prune_checkpoints
from hpc.save.manifest import Checkpoint, verify_checkpoint
from hpc.save.retention import Retention
from tests.kit.retention_tools import ALONE, Run, flip, save, set_aside_in, steps


def test_after_a_damaged_newest_one_every_start_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One bit in step 76: a job that is preempted after each save must not begin at 60 each time."""
    Run(tmp_path).save(50, 60, 76)
    flip(tmp_path / checkpoint_name(76))
    for begun, saved in [(60, 62), (62, 63), (63, 64), (64, 76), (76, 80)]:
        run = Run(tmp_path)
        assert run.begun == begun
        run.save(saved)
    assert set_aside_in(tmp_path) == ["set_aside_step_0000000076"]
    assert steps(tmp_path) == [76, 80]
    assert "set aside as set_aside_step_0000000076" in caplog.text
    assert (tmp_path / "set_aside_step_0000000076" / MANIFEST).exists(), "nothing that was passed over is deleted"


@pytest.mark.parametrize("keep_last", [1, 2, 3])
def test_several_damaged_ones(tmp_path: Path, keep_last: int) -> None:
    Run(tmp_path, 9).save(10, 20, 60, 62, 70, 76)
    for step, damage in [(62, flip), (70, shutil.rmtree), (76, lambda path: (path / MANIFEST).unlink()), (20, flip)]:
        damage(tmp_path / checkpoint_name(step))
    (tmp_path / checkpoint_name(70)).symlink_to(tmp_path / "purged")
    run = Run(tmp_path, keep_last)
    assert run.begun == 60
    run.save(65)  # later than 62, which was passed over all the same
    assert steps(tmp_path) == [10, 60, 65][-keep_last:]
    run.save(66)
    assert steps(tmp_path) == [10, 60, 65, 66][-keep_last:]
    passed_over = {f"set_aside_step_00000000{step}" for step in (62, 70, 76)}
    assert passed_over <= set(set_aside_in(tmp_path)) <= passed_over | {"set_aside_step_0000000020"}
    assert Run(tmp_path).begun == 66


def test_the_same_step_again_does_not_delete_the_damaged_one(tmp_path: Path) -> None:
    for number in range(3):
        save(tmp_path, 1)
        flip(save(tmp_path, 2))
        run = Run(tmp_path, 1)
        assert run.begun == 1
        run.save(2)
        assert len(set_aside_in(tmp_path)) == number + 1
    assert set_aside_in(tmp_path) == [f"set_aside_step_0000000002{text}" for text in ("", "-2", "-3")]


def test_a_whole_one_of_a_future_that_was_given_up(tmp_path: Path) -> None:
    """Moved away, and moved back while the run goes on from an earlier step."""
    Run(tmp_path / "run", 9).save(60, 62, 76)
    for step in (62, 76):
        (tmp_path / "run" / checkpoint_name(step)).rename(tmp_path / checkpoint_name(step))
    run = Run(tmp_path / "run")
    assert run.begun == 60
    run.save(61)
    for step in (62, 76):
        (tmp_path / checkpoint_name(step)).rename(tmp_path / "run" / checkpoint_name(step))
    run.save(65)
    assert steps(tmp_path / "run") == [61, 65]
    assert len(set_aside_in(tmp_path / "run")) == 2
    assert Run(tmp_path / "run").begun == 65


def test_an_older_damaged_one_does_not_count(tmp_path: Path) -> None:
    Run(tmp_path, 9).save(1, 2, 3, 4)
    flip(tmp_path / checkpoint_name(3))
    run = Run(tmp_path, 3)
    assert run.begun == 4
    run.save(5, pinned=1)
    assert steps(tmp_path) == [1, 2, 4, 5]
    run.save(6)
    assert steps(tmp_path) == [4, 5, 6]


def test_without_a_word_of_where_it_began(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        save(tmp_path, step)
    flip(tmp_path / checkpoint_name(3))
    found = find_checkpoint(tmp_path, ALONE)
    assert found is not None
    save(tmp_path, 4)
    assert [path.name for path in prune_checkpoints(tmp_path, 2)] == [checkpoint_name(1)]
    assert steps(tmp_path) == [2, 4]


def test_nothing_is_removed_while_older_ones_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Run(tmp_path, 9).save(1, 2, 3, 4)
    may_read = threading.Event()

    def slow(path: Path) -> Checkpoint:
        may_read.wait(20)
        return verify_checkpoint(path)

    monkeypatch.setattr("hpc.save.retention._WAIT_S", 0.05)
    retention = Retention(tmp_path, 3, slow)
    retention.begin_from(verify_checkpoint(tmp_path / checkpoint_name(4)))
    for step in (5, 6):
        assert retention.after(save(tmp_path, step), lambda step: False) == []
    may_read.set()
    monkeypatch.setattr("hpc.save.retention._WAIT_S", 20)
    assert len(retention.after(save(tmp_path, 7), lambda step: False)) == 4
    assert steps(tmp_path) == [5, 6, 7]
