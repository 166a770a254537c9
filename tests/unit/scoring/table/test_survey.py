"""What is to be done is counted exactly while it is little, else from a sample; nothing is counted twice."""

from __future__ import annotations

import numpy as np

from snw_dist.scoring.table.sides import Pair, Refused
from snw_dist.scoring.table.survey import Count, Counting, Distinct, counted


def test_distinct_sequences_are_counted_once() -> None:
    distinct = Distinct(most=10)
    for _ in range(5):
        distinct.add_texts(["AA", "CCC"])
    distinct.add_texts(["AA", "DDDD"])
    assert distinct.count() == Count(3, 9, True)


def test_very_many_are_estimated_and_take_no_more_memory() -> None:
    numbers = np.random.default_rng(0).integers(0, 2**64, 300_000, np.uint64)
    distinct = Distinct(most=10_000)
    for _ in range(2):
        for part in np.array_split(numbers, 50):
            distinct.add(part, np.full(len(part), 9))
            assert distinct._num_waiting + len(distinct._kept) <= 3 * 10_000
    found = distinct.count()
    assert not found.exact
    assert abs(found.sequences / 300_000 - 1) < 0.05
    assert found.residues == 9 * found.sequences


def test_all_rows_and_what_a_store_holds() -> None:
    pairs = [Pair("AA", "MKV"), Refused("no"), Pair("AA", "GG")]
    survey = counted(iter([pairs, [Pair("CCC", "MKV")]]), {"MKV"}.__contains__)
    assert (survey.rows, survey.pairs, survey.receptors) == (4, 3, 2)
    assert (survey.distinct, survey.to_embed) == (Count(4, 10, True), Count(3, 7, True))


def test_what_is_counted_elsewhere_is_added() -> None:
    counting = Counting({"MKV"}.__contains__)
    counting.add_sides(10, 9, set(), {"MKV"})
    survey = counting.made(Count(5, 40, False))
    assert (survey.distinct, survey.to_embed) == (Count(6, 43, False), Count(5, 40, False))
