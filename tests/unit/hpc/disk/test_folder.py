"""A folder appears as a whole or not at all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hpc.disk.folder import new_folder
from hpc.errors import EnvironmentProblem


def _publish(target: Path, word: str, *, fail: bool = False) -> None:
    with new_folder(target) as folder:
        for name in ("a", "b"):
            (folder / name).write_text(word)
            if fail:
                raise RuntimeError("half way")


def test_a_failed_block_leaves_what_was_there(tmp_path: Path) -> None:
    _publish(tmp_path / "data", "old")
    with pytest.raises(RuntimeError, match="half way"):
        _publish(tmp_path / "data", "new", fail=True)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    assert {path.read_text() for path in (tmp_path / "data").iterdir()} == {"old"}


def test_writers_at_the_same_time_leave_one_whole_folder(tmp_path: Path) -> None:
    target = tmp_path / "data"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: _publish(target, str(i)), range(60)))
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    assert sorted(path.name for path in target.iterdir()) == ["a", "b"]
    assert len({path.read_text() for path in target.iterdir()}) == 1


def test_what_a_killed_writer_has_left_goes_with_the_first_whole_folder(tmp_path: Path) -> None:
    """It was killed before there was a target: then nobody knows yet that it is not the only one there is."""
    (tmp_path / ".data.0123456789ab.new").mkdir()
    (tmp_path / ".data.0123456789ab.new" / "a").write_text("half")
    _publish(tmp_path / "data", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_place_where_nothing_can_be_is_told_by_the_name_that_was_given(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EnvironmentProblem, match=rf"^{tmp_path}/file/data: Not a directory\."):
        _publish(tmp_path / "file" / "data", "new")


def test_what_belongs_to_others_goes_on(tmp_path: Path) -> None:
    target = tmp_path / "evaluation"
    (target / "mine").mkdir(parents=True)
    (target / "mine" / "notes.txt").write_text("notes")
    (target / "table.ods").write_text("sheet")
    (target / "old.png").write_text("old")
    with new_folder(target, ours=("*.png", "metrics.json")) as folder:
        (folder / "new.png").write_text("new")
    assert sorted(path.name for path in target.iterdir()) == ["mine", "new.png", "table.ods"]
    assert (target / "mine" / "notes.txt").read_text() == "notes"


def test_a_link_to_another_disk_stays_one(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "scratch")
    _publish(tmp_path / "data", "new")
    assert (tmp_path / "data").is_symlink()
    assert (tmp_path / "scratch" / "a").read_text() == "new"


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("mine")
    with pytest.raises(EnvironmentProblem, match="data: not a folder"):
        _publish(tmp_path / "data", "new")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_without_an_exchange_of_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on file systems that cannot: two renames."""
    monkeypatch.setattr("hpc.disk.folder._exchange", lambda *_: False)
    test_a_failed_block_leaves_what_was_there(tmp_path)
    test_writers_at_the_same_time_leave_one_whole_folder(tmp_path)


def test_what_a_living_writer_has_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "data"
    with new_folder(target) as slow:
        _publish(target, "quick")
        assert slow.is_dir()
        (slow / "a").write_text("slow")
    assert (target / "a").read_text() == "slow"
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_folder_that_another_writer_has_moved_aside_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the two renames of another writer there is no folder at all: what belongs to others is not lost."""
    target, aside = tmp_path / "evaluation", tmp_path / ".evaluation.0123456789ab.old"
    target.mkdir()
    (target / "notes.txt").write_text("notes")
    back = iter((False, False, True))

    def other_writer(_seconds: float) -> None:
        if next(back):
            aside.rename(target)

    with new_folder(target, ours=("*.png",)) as folder:
        (folder / "new.png").write_text("new")
        target.rename(aside)
        monkeypatch.setattr("hpc.disk.folder.time.sleep", other_writer)
    assert sorted(path.name for path in target.iterdir()) == ["new.png", "notes.txt"]
