"""A folder appears as a whole or not at all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from snw_dist.data.folder import new_folder


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
