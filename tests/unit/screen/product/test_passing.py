"""What passes is every product that is high enough, and no other."""

from __future__ import annotations

import pytest
import torch

from snw_dist.screen.product.passing import GROUP, passing, products
from tests.kit.vectors import unit_vectors


@pytest.mark.parametrize("coarse", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("least", [-2.0, -0.1, 0.0, 0.2, 2.0])
def test_all_that_reach_what_their_column_needs(least: float, coarse: torch.dtype) -> None:
    left, right = unit_vectors(8 * GROUP, 16, 1).to(coarse), unit_vectors(5, 16, 2).to(coarse)
    product = products(left, right, torch.empty(10 * GROUP, 5, dtype=coarse))
    needed = (least + torch.arange(5) / 50).to(coarse)
    rows, columns = passing(product, needed, bool(needed.min() > 0))
    wanted = (left @ right.T >= needed).nonzero()
    assert sorted(zip(rows.tolist(), columns.tolist(), strict=True)) == [tuple(pair) for pair in wanted.tolist()]
    for column in range(5):
        assert rows[columns == column].diff().gt(0).all()


def test_none_passes_where_none_may() -> None:
    product = torch.full((2, GROUP, 3), -0.5)
    assert len(passing(product, torch.full((3,), 0.1), True)[0]) == 0
