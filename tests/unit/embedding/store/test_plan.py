from __future__ import annotations

import hashlib
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snw_dist.embedding.store.plan import plan_embedding, sequence_digest

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
