"""Which pairs of a block have a product that is high enough: nearly none, so nearly all are told in groups."""

from __future__ import annotations

import torch

GROUP = 32
"""Rows of which first only the highest product is looked at."""
_AS_NUMBERS = {torch.float32: torch.int32, torch.bfloat16: torch.int16}


def products(left: torch.Tensor, right: torch.Tensor, scratch: torch.Tensor) -> torch.Tensor:
    """[groups, GROUP, m] products of left, [groups * GROUP, size], and right, [m, size], in the memory of `scratch`.

    scratch: [at least as many rows, m].
    """
    out = scratch[: len(left)]
    torch.mm(left, right.T, out=out)
    return out.view(len(left) // GROUP, GROUP, len(right))


def highest(product: torch.Tensor) -> torch.Tensor:
    """[groups, m] products of the coarse type, of [groups, width, m]: of each group the highest, if any is above 0.

    The bits of positive numbers have the order of the numbers, and those of negative ones are below them. To compare
    whole numbers is up to six times faster. Where no product is above 0 it is the lowest one of the group.
    """
    return product.view(_AS_NUMBERS[product.dtype]).amax(dim=1).view(product.dtype)


def passing(product: torch.Tensor, least: torch.Tensor, positive: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Row and column of every product at least that of its column: [found] int64 each, rows rising for each column.

    product: [groups, GROUP, m]; least: [m]; `positive`: all of `least` are above 0. Then the bits of products are
    compared as whole numbers, which have the same order there: for bfloat16 that is six times faster.
    """
    if positive:
        kind = _AS_NUMBERS[product.dtype]
        product, least = product.view(kind), least.view(kind)
    group, column = (product.amax(dim=1) >= least).nonzero(as_tuple=True)
    which, member = (product[group, :, column] >= least[column, None]).nonzero(as_tuple=True)
    return group[which] * GROUP + member, column[which]
