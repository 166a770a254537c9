"""The cache of background scores: it gives back what was put in, or nothing."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from snw_dist.scoring.score_cache import ScoreCache, cache_folder

SCORES = np.sort(np.random.default_rng(0).random(50))


def only_file(folder: Path) -> Path:
    [path] = folder.iterdir()
    return path


def test_what_was_put_in_comes_out(tmp_path: Path) -> None:
    ScoreCache(tmp_path / "a" / "b").put("one", SCORES)
    again = ScoreCache(tmp_path / "a" / "b")
    np.testing.assert_array_equal(again.get("one"), SCORES)
    assert again.get("two") is None


def test_any_damage_is_nothing(tmp_path: Path) -> None:
    cache = ScoreCache(tmp_path)
    cache.put("one", SCORES)
    path = only_file(tmp_path)
    data = path.read_bytes()
    flips = [data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :] for place in (0, 31, 32, len(data) - 1)]
    for damaged in (*flips, data[:-8], data[:-1], b"", data + data[:8]):
        path.write_bytes(damaged)
        assert cache.get("one") is None
        assert not path.exists()
        cache.put("one", SCORES)
    np.testing.assert_array_equal(cache.get("one"), SCORES)


def test_scores_of_another_key_under_this_name_are_none(tmp_path: Path) -> None:
    cache = ScoreCache(tmp_path)
    cache.put("one", SCORES)
    first = only_file(tmp_path)
    cache.put("two", SCORES / 2)
    [second] = set(tmp_path.iterdir()) - {first}
    first.rename(second)
    assert cache.get("two") is None


def test_what_was_used_longest_ago_goes(tmp_path: Path) -> None:
    cache = ScoreCache(tmp_path)
    for age, key in enumerate(("new", "old", "used")):
        cache.put(key, SCORES)
        path = max(tmp_path.iterdir(), key=lambda one: one.stat().st_ctime_ns)
        os.utime(path, (1000 - age, 1000 - age))
    assert cache.get("used") is not None
    kept = ScoreCache(tmp_path, 2 * (32 + 8 * 50))
    assert [kept.get(key) is None for key in ("new", "old", "used")] == [False, True, False]


def test_where_nothing_can_be_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for cache in (ScoreCache(None), ScoreCache(tmp_path / "file")):
        cache.put("one", SCORES)
        assert cache.get("one") is None


def test_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "snw-dist" / "backgrounds"
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for given in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", given)
        assert cache_folder() == tmp_path / "home" / ".cache" / "snw-dist" / "backgrounds"
