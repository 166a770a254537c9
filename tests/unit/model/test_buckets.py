"""Groups of like length: exactly once, in order, and with the least that is computed."""

from __future__ import annotations

import random
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snw_dist.model.buckets import MULTIPLE, OVERHEAD, length_groups, rounded_up

lengths_of = st.lists(st.integers(1, 60), min_size=1, max_size=9)


def cost(groups: list[tuple[int, int, int]], overhead: int) -> int:
    return sum((stop - start) * longest + overhead for start, stop, longest in groups)


@given(lengths_of, st.integers(0, 100))
def test_the_cut_is_the_best_there_is(lengths: list[int], overhead: int) -> None:
    lengths = sorted(lengths)
    found = length_groups(lengths, overhead)
    every = []
    for number in range(len(lengths)):
        for cuts in combinations(range(1, len(lengths)), number):
            edges = [0, *cuts, len(lengths)]
            every.append([(i, j, lengths[j - 1]) for i, j in pairwise(edges)])
    assert cost(found, overhead) == min(cost(groups, overhead) for groups in every)
    assert found in every


@given(lengths_of, st.integers(0, 100))
def test_any_order_is_cut_into_groups_that_hold_it(lengths: list[int], overhead: int) -> None:
    found = length_groups(lengths, overhead)
    assert [start for start, _, _ in found] + [len(lengths)] == [0] + [stop for _, stop, _ in found]
    assert all(max(lengths[start:stop]) <= longest <= max(lengths) for start, stop, longest in found)


@pytest.mark.parametrize(
    ("lengths", "overhead", "groups"),
    [
        ([144] * 5, 48, [(0, 5, 144)]),
        ([8] * 100 + [9] * 10, 48, [(0, 100, 8), (100, 110, 9)]),
        ([8] * 10 + [9] * 100, 48, [(0, 110, 9)]),
        ([8, 40], 1000, [(0, 2, 40)]),
    ],
)
def test_examples(lengths: list[int], overhead: int, groups: list[tuple[int, int, int]]) -> None:
    assert length_groups(lengths, overhead) == groups


@given(lengths_of, st.integers(0, 100), st.integers(1, 40))
def test_lengths_are_rounded_up_before_the_cut(lengths: list[int], overhead: int, multiple: int) -> None:
    rounded = [rounded_up(length, multiple) for length in lengths]
    assert all(0 <= new - old < multiple and new % multiple == 0 for new, old in zip(rounded, lengths, strict=True))
    assert length_groups(lengths, overhead, multiple) == length_groups(rounded, overhead)


@given(lengths_of, st.integers(0, 100), st.integers(1, 6))
def test_groups_are_cut_at_multiples(lengths: list[int], overhead: int, rows: int) -> None:
    found = length_groups(lengths, overhead, 1, rows)
    assert [start for start, _, _ in found] + [len(lengths)] == [0] + [stop for _, stop, _ in found]
    assert all(start % rows == 0 for start, _, _ in found)
    assert all(max(lengths[start:stop]) <= longest <= max(lengths) for start, stop, longest in found)


def test_a_gpu_has_few_shapes_and_a_processor_no_padding() -> None:
    lengths = sorted(random.Random(1).choices(range(41, 400), k=128))
    shapes = {tuple(length_groups(lengths[:rest], OVERHEAD["cuda"], MULTIPLE["cuda"])) for rest in range(97, 129)}
    assert all(longest % 32 == 0 for groups in shapes for _, _, longest in groups)
    assert all(len(groups) == 1 for groups in shapes)  # a second group would take longer to start than to compute
    assert MULTIPLE["cpu"] == 1
