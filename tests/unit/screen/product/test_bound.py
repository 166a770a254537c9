"""The bounds hold: against float64, for vectors that are hard on them."""

from __future__ import annotations

import pytest
import torch

from snw_dist.model.pair import closeness, compared_vectors
from snw_dist.screen.product.bound import error, farthest, least_product, most_squared, surely
from snw_dist.screen.product.vectors import Vectors, prepared
from tests.kit.vectors import unit_vectors


def squares(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return (one.double() - other.double()).square().sum(dim=-1)


@pytest.mark.parametrize("margin", [0.05, 0.3, 1.0, 1.7, 4.0])
def test_no_pair_of_a_score_is_farther(margin: float) -> None:
    one = unit_vectors(4000, 24, 1)
    step = torch.logspace(-6, 1, 4000)[:, None]
    other = torch.nn.functional.normalize(one + step * unit_vectors(4000, 24, 2), dim=-1)
    score, squared = compared_vectors(one, other, margin).score, squares(one, other)
    allowed = farthest(score.double(), margin)
    assert (squared <= allowed).all()
    assert (allowed - squared).max() < 1e-3  # and little is given away
    sure = surely(squared, 24, margin)
    assert (score.double() >= sure).all()
    assert (score.double() - sure).max() < 1e-3


def test_where_the_two_branches_of_a_score_meet() -> None:
    margin = 1.0
    distance = (0.95 + torch.arange(-2000, 2000) * 2.0**-24).float()
    score = closeness(distance, margin)
    allowed = farthest(score.double(), margin) + 0.999e-6
    assert (distance.double().square() <= allowed).all()


def sides(kind: str, coarse: torch.dtype) -> tuple[Vectors, Vectors]:
    left, right = unit_vectors(512, 64, 3), unit_vectors(128, 64, 4)
    if kind == "alike":  # sums of one sign: every rounding goes the same way
        left, right = (left.abs() + 1).div(12), (right.abs() + 1).div(12)
    if kind == "halves":
        left, right = left.half(), right.half()
    if kind == "long":
        left, right = left * torch.linspace(0.5, 3, 512)[:, None], right * 2
    return prepared(left, coarse), prepared(right, coarse)


@pytest.mark.parametrize("coarse", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("kind", ["random", "alike", "halves", "long"])
def test_the_coarse_product_keeps_its_bounds(kind: str, coarse: torch.dtype) -> None:
    left, right = sides(kind, coarse)
    product = left.coarse @ right.coarse.T
    true = left.exact.double() @ right.exact.double().T
    rounded = 0 if coarse == torch.float32 else 2.0**-8 * product.double().abs()
    assert ((product.double() - true).abs() <= error(left, right) + rounded).all()
    squared = squares(left.exact[:, None], right.exact[None])
    for row in range(512):
        assert (product[row] >= least_product(squared[row], left, right)).all()
        assert (squared[row] <= most_squared(product[row], left, right)).all()


@pytest.mark.parametrize("coarse", [torch.float32, torch.bfloat16], ids=str)
def test_the_bound_is_narrow(coarse: torch.dtype) -> None:
    assert error(*sides("random", coarse)) < (1e-4 if coarse == torch.float32 else 8e-3)


def test_products_in_less_than_the_highest_precision_have_wider_bounds() -> None:
    torch.set_float32_matmul_precision("medium")
    try:
        vectors = prepared(unit_vectors(8, 8, 1), torch.float32)
    finally:
        torch.set_float32_matmul_precision("highest")
    assert vectors.lost >= 2.0**-8
