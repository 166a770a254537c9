"""Vectors with bounds that hold for all of them."""

from __future__ import annotations

import pytest
import torch

from snw_dist.screen.product.vectors import check_lengths, fastest, prepared
from tests.kit.vectors import unit_vectors


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize("coarse", [torch.float32, torch.bfloat16], ids=str)
def test_the_bounds_are_those_of_all(dtype: torch.dtype, coarse: torch.dtype) -> None:
    vectors = unit_vectors(300, 48, 1, dtype) * torch.linspace(0.5, 2, 300)[:, None].to(dtype)
    found = prepared(vectors, coarse)
    assert torch.equal(found.exact, vectors.float())
    assert found.coarse.dtype == coarse
    lengths = vectors.double().norm(dim=1)
    assert found.shortest <= lengths.min()
    assert found.longest >= lengths.max()
    assert found.lost >= (vectors.double() - found.coarse.double()).norm(dim=1).max()


def test_the_type_is_one_of_the_two() -> None:
    assert fastest(64, torch.device("cpu")) in (torch.float32, torch.bfloat16)
    assert fastest(64, torch.device("cuda")) == torch.float32


def test_what_is_not_finite_is_counted_from_the_first() -> None:
    vectors = unit_vectors(5, 4, 1)
    check_lengths(vectors, 7)
    vectors[2, 0] = torch.nan
    with pytest.raises(ValueError, match="vector 9, counted from 0, is no unit vector: its length is nan"):
        check_lengths(vectors, 7)
