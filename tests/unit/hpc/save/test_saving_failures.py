"""Saves that fail, or that come too late: nothing is committed, and the older checkpoints stay."""

from pathlib import Path

import pytest
import torch

from hpc.errors import CorruptError, EnvironmentProblem, ExitCode, InputError
from hpc.save.checkpoint import checkpoint_name
from hpc.save.fence import Fence
from hpc.save.saving import save_checkpoint
from tests.kit.checkpoint_tools import ALONE, find, save, step_found
from tests.kit.ranks import names, small_disk


# ---------------------------------------------------------------------------- failing saves
@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), RuntimeError("unexpected pos"), ValueError("no")])
def test_a_failed_write_leaves_the_older_ones(tmp_path: Path, error: Exception) -> None:
    def write(folder: Path) -> list[str]:
        (folder / "part").write_bytes(b"part")
        raise error

    save(tmp_path, 1)
    for step in (1, 2):
        with pytest.raises(CorruptError, match=r"rank 0: .* GB are free there") as raised:
            save_checkpoint(tmp_path, step, {}, write, ALONE)
        assert raised.value.exit_code == ExitCode.CORRUPT
    assert names(tmp_path) == [checkpoint_name(1)]
    assert step_found(tmp_path) == 1


def test_an_error_with_its_own_exit_code_keeps_it(tmp_path: Path) -> None:
    def write(folder: Path) -> list[str]:
        raise InputError("not to be saved")

    with pytest.raises(InputError, match="not to be saved"):
        save_checkpoint(tmp_path, 1, {}, write, ALONE)
    assert names(tmp_path) == []


@pytest.mark.parametrize("written", [["missing"], ["../a"], ["."]])
def test_what_was_not_written_is_not_committed(tmp_path: Path, written: list[str]) -> None:
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(CorruptError):
        save_checkpoint(tmp_path / "root", 1, {}, lambda folder: written, ALONE)
    assert names(tmp_path / "root") == []


def test_meta_that_is_not_json_is_not_committed(tmp_path: Path) -> None:
    for value in (float("nan"), {1, 2}):
        with pytest.raises(CorruptError, match="JSON"):
            save_checkpoint(tmp_path, 1, {"loss": value}, lambda folder: [], ALONE)
    assert names(tmp_path) == []


@pytest.mark.parametrize("how", ["plain", "torch"])
def test_full_disk(tmp_path: Path, how: str) -> None:
    def write(folder: Path) -> list[str]:
        if how == "torch":  # torch says RuntimeError, not OSError
            torch.save({"a": torch.zeros(1_000_000)}, folder / "a")
        else:
            (folder / "a").write_bytes(bytes(4_000_000))
        return ["a"]

    with small_disk(tmp_path / "disk") as disk:
        save(disk / "root", 1)
        with pytest.raises(CorruptError, match="GB are free there") as raised:
            save_checkpoint(disk / "root", 2, {}, write, ALONE)
        assert raised.value.exit_code == ExitCode.CORRUPT
        assert names(disk / "root") == [checkpoint_name(1)]
        assert step_found(disk / "root") == 1
        if how == "plain":  # pytest keeps torch's traceback, and with it the removed file open
            save(disk / "root", 2)
            assert step_found(disk / "root") == 2


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "root").write_text("a file")
    with pytest.raises(CorruptError, match="could not be written"):
        save(tmp_path / "root", 1)


# ---------------------------------------------------------------------------- two incarnations
def test_a_superseded_attempt_does_not_commit(tmp_path: Path) -> None:
    old = Fence(tmp_path, "41-0")
    save(tmp_path / "root", 1, fence=old.check)

    def superseded_meanwhile(folder: Path) -> list[str]:
        Fence(tmp_path, "41-1")
        return []

    with pytest.raises(EnvironmentProblem, match="superseded by attempt 41-1") as raised:
        save_checkpoint(tmp_path / "root", 2, {}, superseded_meanwhile, ALONE, old.check)
    assert raised.value.exit_code == ExitCode.ENVIRONMENT
    assert names(tmp_path / "root") == [checkpoint_name(1)]


def test_a_superseded_attempt_does_not_touch_the_save_of_its_successor(tmp_path: Path) -> None:
    old, new = Fence(tmp_path, "41-0"), Fence(tmp_path, "41-1")

    def write(folder: Path) -> list[str]:
        (folder / "a").write_bytes(b"new")
        with pytest.raises(EnvironmentProblem, match="superseded"):
            save(tmp_path / "root", 7, "old", fence=old.check)
        return ["a"]

    save_checkpoint(tmp_path / "root", 7, {}, write, ALONE, new.check)
    found = find(tmp_path / "root")
    assert found is not None
    assert (found.path / "a").read_bytes() == b"new"
