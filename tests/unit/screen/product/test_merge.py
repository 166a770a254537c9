"""One list of several, exact in any order."""

from __future__ import annotations

import itertools

import pytest
import torch

from snw_dist.screen.product.merge import Best, merged
from tests.kit.vectors import same


def lists() -> list[Best]:
    """Few different scores, so that many tie; widths differ."""
    score = torch.randint(1, 4, (6, 24), generator=torch.Generator().manual_seed(1)) / 4
    cuts = [range(10), range(10, 11), range(11, 24)]
    found = []
    for cut in cuts:
        order = score[:, cut].argsort(dim=1, descending=True, stable=True)
        found.append(Best(score[:, cut].gather(1, order), order + cut.start))
    return found


def test_the_order_of_lists_and_of_merges_changes_nothing() -> None:
    whole = merged(lists(), 7)
    assert whole.score.shape == (6, 7)
    for a, b, c in itertools.permutations(lists()):
        assert same(merged([a, b, c], 7), whole)
        assert same(merged([merged([a, b], 7), c], 7), whole)


def test_of_equal_scores_the_lower_number_is_first() -> None:
    one = Best(torch.tensor([[0.5, 0.5]]), torch.tensor([[7, 9]]))
    other = Best(torch.tensor([[0.5, 0.25]]), torch.tensor([[2, 1]]))
    assert merged([one, other], 3).index.tolist() == [[2, 7, 9]]


def test_fewer_partners_than_asked_for_give_all() -> None:
    assert merged(lists(), 100).index.sort(dim=1).values.tolist() == [list(range(24))] * 6


def test_what_does_not_belong_together_is_refused() -> None:
    with pytest.raises(ValueError, match="no list"):
        merged([], 3)
    with pytest.raises(ValueError, match=r"lists of \[6, 2\] rows"):
        merged([lists()[0], Best(torch.zeros(2, 1), torch.zeros(2, 1, dtype=torch.int64))], 3)


def test_a_part_counts_from_its_first() -> None:
    part = lists()[0]
    assert torch.equal(part.shifted(100).index, part.index + 100)
