"""Between scores and products: which products a pair of a given score can have, with all rounding counted.

For vectors l and r the squared distance is |l|^2 + |r|^2 - 2 l.r. All here is in float64 and errs to the safe side: a
pair that could be among the best is never lost, and a few that are not pass. `UNIT` is the rounding error of float32.
"""

from __future__ import annotations

import torch

from snw_dist.model.pair import TAIL
from snw_dist.screen.product.vectors import ROUNDED, Vectors

UNIT = 2.0**-24
ADDED = 1e-6
"""What `unit_distance` adds below its root."""
_TINY = 1e-30


def farthest(score: torch.Tensor, margin: float) -> torch.Tensor:
    """[m] float64: no pair with a larger squared distance has a computed score as high; score: [m] float64.

    The inverse of `closeness`. The distance may be off by 64 roundings of itself and of the margin, the score by some:
    this also covers the place where its two branches meet.
    """
    linear = torch.where(score < TAIL, 2 * TAIL - TAIL**2 / score, score)
    of_margin = 1.0 - linear
    distance = margin * (of_margin + 64 * UNIT * (1.0 + of_margin))
    return distance.square() - 0.999 * ADDED


def surely(squared: torch.Tensor, size: int, margin: float) -> torch.Tensor:
    """[m] float64: scores that pairs of at most these squared distances, [m] float64, reach when they are computed."""
    distance = (squared.clamp(min=0.0) * (1 + 2 * (size + 8) * UNIT) + 1.001 * ADDED).sqrt()
    of_margin = distance / margin
    linear = 1.0 - of_margin - 64 * UNIT * (1.0 + of_margin)
    return torch.where(linear < TAIL, TAIL**2 / (2 * TAIL - linear.clamp(max=TAIL)), linear)


def error(one: Vectors, other: Vectors) -> float:
    """No sum behind a coarse product is farther than this from the product of the vectors, in whatever order added."""
    lost = one.lost * other.longest + (one.longest + one.lost) * other.lost
    added = 2 * (one.exact.shape[1] + 8) * UNIT * (one.longest + one.lost) * (other.longest + other.lost)
    return lost + added + _TINY


def least_product(squared: torch.Tensor, one: Vectors, other: Vectors) -> torch.Tensor:
    """[m] of the coarse type: no coarse product of a pair is below it whose squared distance is at most `squared`, [m].

    The sum is rounded once more where the coarse type is not float32.
    """
    size = one.exact.shape[1]
    computed = squared * (1 + 2 * (size + 8) * UNIT)
    product = (one.shortest**2 + other.shortest**2 - computed) / 2 - error(one, other)
    product -= product.abs() * (UNIT if one.coarse.dtype == torch.float32 else ROUNDED)
    least = product.to(one.coarse.dtype)
    return torch.where(least.double() > product, least.nextafter(torch.full_like(least, -torch.inf)), least)


def most_squared(product: torch.Tensor, one: Vectors, other: Vectors) -> torch.Tensor:
    """[m] float64: no pair with at least these coarse products, [m], has a larger squared distance."""
    product = product.double()
    product = product - product.abs() * (UNIT if one.coarse.dtype == torch.float32 else 2 * ROUNDED)
    return one.longest**2 + other.longest**2 - 2 * (product - error(one, other))
