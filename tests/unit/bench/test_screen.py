"""The benchmark of screening: every way it compares finds the same, and its keys are those that are promised."""

from __future__ import annotations

import importlib.util
import mmap

import pytest

from tests.bench import screen
from tests.bench.screen import agrees, held_bytes, measure
from tests.kit.vectors import directly, unit_vectors


def test_a_small_round_of_all_that_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen, "TOP", 10)
    keys = measure(64, 3000, 5, 1)
    assert keys["pairs_per_s_64"] > 0
    assert (keys["ratio_faiss_64"] is None) == (importlib.util.find_spec("faiss") is None)
    assert keys["gemm_share_64"] > 0


def test_a_wrong_list_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    sides = unit_vectors(500, 8, 1), unit_vectors(3, 8, 2)
    best = directly(*sides, 5, screen.MARGIN)
    numbers = best.index.clone().numpy()
    assert agrees(sides, best, numbers) == 0
    numbers[1, 2] = int(directly(*sides, 500, screen.MARGIN).index[1, -1])
    assert agrees(sides, best, numbers) > 1e-3


def test_memory_is_what_is_held() -> None:
    before = held_bytes()
    with mmap.mmap(
        -1, 64 << 20, mmap.MAP_PRIVATE
    ) as pages:  # new ones: a tensor may lie in memory that was held before
        pages.write(bytes(64 << 20))
        assert held_bytes() - before >= 0.9 * (64 << 20)
