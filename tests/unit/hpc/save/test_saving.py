"""A save in the background: what is there before the commit, what a failure leaves. More in `test_saving_failures`."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from hpc.errors import CorruptError, EnvironmentProblem
from hpc.ranks.communicator import Communicator
from hpc.save.checkpoint import find_checkpoint
from hpc.save.fence import Fence
from hpc.save.saving import Save
from tests.kit.ranks import names

ALONE = Communicator.alone()


def test_it_does_not_exist_before_the_commit(tmp_path: Path) -> None:
    go_on = threading.Event()

    def write(folder: Path) -> list[str]:
        (folder / "a").write_bytes(b"12345")
        go_on.wait(20)
        return ["a"]

    save = Save(tmp_path, 3, {"x": 1}, write, ALONE)
    assert save.writing
    assert find_checkpoint(tmp_path, ALONE) is None
    go_on.set()
    while save.writing:
        pass
    assert find_checkpoint(tmp_path, ALONE) is None
    assert save.commit() == tmp_path / "step_0000000003"
    found = find_checkpoint(tmp_path, ALONE)
    assert found is not None
    assert found.meta == {"x": 1}
    assert save.num_bytes == 5
    assert save.write_s > 0


def test_the_commit_waits_for_the_files(tmp_path: Path) -> None:
    def write(folder: Path) -> list[str]:
        threading.Event().wait(0.3)
        (folder / "a").write_bytes(b"1")
        return ["a"]

    save = Save(tmp_path, 1, {}, write, ALONE)
    assert save.work.wait(0.0)
    save.commit()
    assert not save.work.wait(0.0)
    assert names(tmp_path / "step_0000000001") == ["a", "manifest.json"]


def test_a_failure_in_the_background_is_raised_by_the_commit(tmp_path: Path) -> None:
    def write(folder: Path) -> list[str]:
        raise OSError(28, "No space left on device")

    save = Save(tmp_path, 1, {}, write, ALONE)
    with pytest.raises(CorruptError, match=r"No space left on device.*GB are free"):
        save.commit()
    assert names(tmp_path) == []


def test_superseded_before_and_after_the_files_are_written(tmp_path: Path) -> None:
    old = Fence(tmp_path, "41-0")
    save = Save(tmp_path / "root", 1, {}, lambda folder: [], ALONE, old.check)
    Fence(tmp_path, "41-1")
    with pytest.raises(EnvironmentProblem, match="superseded"):
        save.commit()
    with pytest.raises(EnvironmentProblem, match="superseded"):
        Save(tmp_path / "root", 2, {}, lambda folder: [], ALONE, old.check)
    assert names(tmp_path / "root") == []
