"""Names that are those of a checkpoint, and names that only look like one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hpc.errors import CorruptError
from hpc.save.checkpoint import checkpoint_name, find_checkpoint
from hpc.save.checkpoint_names import looks_like_one, place_of
from tests.kit.ranks import names
from tests.kit.retention_tools import ALONE, Run, save, set_aside_in

STRAYS = ["step_best", "step_0000000020 (copy)", "step_20", "step_", "step_-000000001", "step_00000000020", "STEP_1"]
STRAYS += ["step_000000002٠", "step_0000000020~", "step_0000000020\n", "step_0000000020.0", "step_0000000020.01"]


@pytest.mark.parametrize("stray", STRAYS)
def test_a_stray_folder_is_left_alone(tmp_path: Path, stray: str, caplog: pytest.LogCaptureFixture) -> None:
    assert place_of(stray) is None
    assert looks_like_one(stray)
    (tmp_path / stray).mkdir()
    run = Run(tmp_path, 1)
    assert run.begun == 0
    run.save(1, 2)
    assert Run(tmp_path).begun == 2
    assert names(tmp_path) == sorted([stray, checkpoint_name(2)])
    assert "no checkpoint by its name" in caplog.text


@pytest.mark.parametrize("name", ["step_0000000020 (copy)", "set_aside_step_0000000020", "old_step_20"])
def test_what_was_renamed_is_not_nothing(tmp_path: Path, name: str) -> None:
    """Where no other is there, a run would begin at step 0 beside all of its work."""
    save(tmp_path, 20).rename(tmp_path / name)
    with pytest.raises(CorruptError, match="no checkpoint, but"):
        find_checkpoint(tmp_path, ALONE)
    save(tmp_path, 30)
    assert Run(tmp_path).begun == 30


@pytest.mark.parametrize("kind", ["link to nothing", "link to itself", "file", "pipe"])
def test_the_name_alone_counts_as_damaged(tmp_path: Path, kind: str) -> None:
    """A checkpoint on a disk that is not there now is no reason to begin at step 0."""
    root = tmp_path / "checkpoints"
    root.mkdir()
    path = root / checkpoint_name(3)
    if kind == "file":
        path.write_text("3")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(path if kind == "link to itself" else tmp_path / "away")
    with pytest.raises(CorruptError, match="none of 1 checkpoints verifies"):
        find_checkpoint(root, ALONE)
    save(root, 3)
    assert Run(root).begun == 3
    if kind != "link to itself":  # that one led to the new checkpoint for a moment
        assert set_aside_in(root) == ["set_aside_step_0000000003"]


@pytest.mark.parametrize("kind", ["link to nothing", "file"])
def test_a_folder_of_checkpoints_that_is_gone(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "checkpoints"
    root.symlink_to(tmp_path / "purged") if kind == "link to nothing" else root.write_text("")
    with pytest.raises(CorruptError, match="hold checkpoints"):
        find_checkpoint(root, ALONE)
