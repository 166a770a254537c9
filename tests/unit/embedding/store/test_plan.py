from __future__ import annotations

import hashlib
import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snw_dist.embedding.store.plan import Window, batch_stop, plan_embedding, sequence_digest, windows


def token_batches(lengths: list[int], tokens: int) -> list[range]:
    """Batches of whole sequences with BOS and EOS, one after another."""
    batches, start = [], 0
    while start < len(lengths):
        stop = batch_stop([length + 2 for length in lengths], start, tokens)
        batches.append(range(start, stop))
        start = stop
    return batches


sequence_sets = st.lists(st.text("ACDE", min_size=1, max_size=40), min_size=1, max_size=40)
sizes = st.integers(1, 64)


def test_a_small_plan() -> None:
    plan = plan_embedding(["AAAA", "C", "AA", "AAAA", "D", "AAA"], shard_rows=5, chunk_rows=2)
    assert plan.sequences == ("C", "D", "AA", "AAA", "AAAA")
    assert plan.shard_rows == 6
    assert plan.lengths.tolist() == [1, 1, 2, 3, 4]
    assert plan.shard_starts.tolist() == [0, 3, 4, 5]
    assert plan.offsets.tolist() == [0, 1, 2, 6, 12]
    assert (plan.num_shards, plan.num_residues) == (3, 11)
    assert list(plan.shard_sequences(0)) == [0, 1, 2]
    assert plan.shard_digest(0) == hashlib.sha256(b"C\nD\nAA").hexdigest()


@pytest.mark.parametrize(
    ("shard_rows", "chunk_rows", "longest", "rows"),
    [(16, 4, 3, 16), (15, 4, 3, 16), (1, 4, 3, 4), (1, 1, 9, 9), (16, 256, 3, 256), (256, 100, 300, 300)],
)
def test_a_shard_is_whole_chunks_and_holds_the_longest(
    shard_rows: int, chunk_rows: int, longest: int, rows: int
) -> None:
    assert plan_embedding(["A", "C" * longest], shard_rows, chunk_rows).shard_rows == rows


@pytest.mark.parametrize("sequences", [[], [""], ["A", ""]])
def test_nothing_to_embed(sequences: list[str]) -> None:
    with pytest.raises(ValueError, match="nothing to embed"):
        plan_embedding(sequences, 16, 4)


@given(sequence_sets, sizes, sizes)
def test_every_distinct_sequence_once_and_none_across_shards(
    sequences: list[str], shard_rows: int, chunk_rows: int
) -> None:
    plan = plan_embedding(sequences, shard_rows, chunk_rows)
    assert sorted(plan.sequences) == sorted(set(sequences))
    assert plan.shard_rows % plan.chunk_rows == 0
    assert plan.lengths.tolist() == [len(s) for s in plan.sequences]
    assert (np.diff(plan.lengths) >= 0).all()
    assert (plan.offsets[:-1] + plan.lengths[:-1] <= plan.offsets[1:]).all()
    first, last = plan.offsets // plan.shard_rows, (plan.offsets + plan.lengths - 1) // plan.shard_rows
    assert (first == last).all()
    seen = [index for shard in range(plan.num_shards) for index in plan.shard_sequences(shard)]
    assert seen == list(range(len(plan.sequences)))
    for shard in range(plan.num_shards):
        inside = plan.shard_sequences(shard)
        assert len(inside) > 0
        assert (first[inside.start : inside.stop] == shard).all()
        assert plan.offsets[inside.start] == shard * plan.shard_rows
        ends = plan.offsets[inside.start : inside.stop] + plan.lengths[inside.start : inside.stop]
        assert (ends[:-1] == plan.offsets[inside.start + 1 : inside.stop]).all()  # no gap inside a shard


@given(sequence_sets, sizes, sizes, st.randoms(use_true_random=False))
def test_order_and_duplicates_do_not_matter(
    sequences: list[str], shard_rows: int, chunk_rows: int, randomness: random.Random
) -> None:
    plan = plan_embedding(sequences, shard_rows, chunk_rows)
    other = [*sequences, *randomness.choices(sequences, k=5)]
    randomness.shuffle(other)
    again = plan_embedding(iter(other), shard_rows, chunk_rows)
    assert again.sequences == plan.sequences
    assert again.offsets.tolist() == plan.offsets.tolist()
    assert again.shard_starts.tolist() == plan.shard_starts.tolist()
    assert again.digest({"layer": -1}) == plan.digest({"layer": -1})


def test_the_digest_knows_all_that_the_rows_depend_on() -> None:
    base = plan_embedding(["AC", "D"], 16, 4)
    settings = {"encoder": {"name": "x", "layer": -1}, "dtype": "float16"}
    digests = [
        base.digest(settings),
        base.digest({**settings, "dtype": "float32"}),
        base.digest({**settings, "encoder": {"name": "x", "layer": 1}}),
        plan_embedding(["AC", "E"], 16, 4).digest(settings),
        plan_embedding(["A", "CD"], 16, 4).digest(settings),
        plan_embedding(["AC", "D"], 20, 4).digest(settings),
        plan_embedding(["AC", "D"], 16, 8).digest(settings),
    ]
    assert len(set(digests)) == len(digests)
    assert base.digest(dict(reversed(settings.items()))) == digests[0]
    assert sequence_digest("AC").hex() == hashlib.sha256(b"AC").hexdigest()


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
