from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snw_dist.embedding.esmc.windows import Window, batch_stop, windows


def token_batches(lengths: list[int], tokens: int) -> list[range]:
    """Batches of whole sequences with BOS and EOS, one after another."""
    batches, start = [], 0
    while start < len(lengths):
        stop = batch_stop([length + 2 for length in lengths], start, tokens)
        batches.append(range(start, stop))
        start = stop
    return batches


@pytest.mark.parametrize(
    ("lengths", "tokens", "expected"),
    [
        ([], 10, []),
        ([3], 10, [(0, 1)]),
        ([3, 3], 10, [(0, 2)]),
        ([3, 4], 10, [(0, 1), (1, 2)]),
        ([100], 10, [(0, 1)]),
        ([1, 100, 1], 10, [(0, 1), (1, 2), (2, 3)]),
        ([1, 1, 1, 1], 6, [(0, 2), (2, 4)]),
        ([1, 1], 1, [(0, 1), (1, 2)]),
    ],
)
def test_batches_of_tokens(lengths: list[int], tokens: int, expected: list[tuple[int, int]]) -> None:
    assert [(batch.start, batch.stop) for batch in token_batches(lengths, tokens)] == expected


@given(st.lists(st.integers(1, 60), max_size=40), st.integers(1, 100))
def test_batches_hold_everything_once_and_are_full(lengths: list[int], tokens: int) -> None:
    batches = token_batches(lengths, tokens)
    assert [i for batch in batches for i in batch] == list(range(len(lengths)))
    needs = [sum(lengths[i] + 2 for i in batch) for batch in batches]
    assert all(need <= tokens or len(batch) == 1 for need, batch in zip(needs, batches, strict=True))
    for need, following in zip(needs, batches[1:], strict=False):
        assert need + lengths[following.start] + 2 > tokens  # the next one would not have fitted


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (1, [(0, 1, 0, 1)]),
        (10, [(0, 10, 0, 10)]),
        (11, [(0, 10, 0, 5), (1, 11, 5, 11)]),
        (16, [(0, 10, 0, 8), (6, 16, 8, 16)]),
        (20, [(0, 10, 0, 8), (6, 16, 8, 13), (10, 20, 13, 20)]),
    ],
)
def test_windows_of_ten_that_overlap_by_four(length: int, expected: list[tuple[int, ...]]) -> None:
    assert windows(length, 10, 4) == [Window(*numbers) for numbers in expected]


@pytest.mark.parametrize("overlap", [-1, 10, 11])
def test_an_overlap_that_makes_no_progress_is_refused(overlap: int) -> None:
    with pytest.raises(ValueError, match=f"overlap {overlap} must be at least 0 and less than the window of 10"):
        windows(5, 10, overlap)


@given(st.integers(1, 400), st.integers(1, 50), st.data())
def test_windows_keep_each_residue_once_from_where_it_is_farthest_from_a_cut(
    length: int, most: int, data: st.DataObject
) -> None:
    overlap = data.draw(st.integers(0, most - 1))
    cut = windows(length, most, overlap)
    kept = [residue for w in cut for residue in range(w.keep_start, w.keep_stop)]
    assert kept == list(range(length))
    assert {w.stop - w.start for w in cut} == {min(length, most)}
    assert all(0 <= w.start <= w.keep_start < w.keep_stop <= w.stop <= length for w in cut)
    assert all(a.stop - b.start >= overlap for a, b in pairwise(cut))

    def from_cut(window: Window, residue: int) -> float:
        left = residue - window.start if window.start > 0 else np.inf  # the ends of the sequence are no cuts
        right = window.stop - 1 - residue if window.stop < length else np.inf
        return min(left, right)

    for window in cut:
        for residue in range(window.keep_start, window.keep_stop):
            others = [from_cut(w, residue) for w in cut if w.start <= residue < w.stop]
            assert from_cut(window, residue) == max(others)


def test_a_long_protein_keeps_half_an_overlap_of_context() -> None:
    cut = windows(35_213, 2046, 512)
    assert all(w.keep_start - w.start >= 256 for w in cut[1:])
    assert all(w.stop - w.keep_stop >= 256 for w in cut[:-1])
