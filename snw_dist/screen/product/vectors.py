"""Vectors beside what they become for the fast product, with the most that any of them loses by it."""

from __future__ import annotations

import time
from functools import cache
from typing import NamedTuple

import torch

ROUNDED = 2.0**-8
"""Largest relative error of a number in bfloat16, however it was rounded to it; also of what fp32 may be rounded to
inside a product (TF32, or bfloat16 where torch is told that less than the "highest" precision will do)."""


class Vectors(NamedTuple):
    """Vectors of one side; the figures are bounds for all of them, and allow for their own rounding."""

    exact: torch.Tensor
    """[n, size] float32: what the network compares."""
    coarse: torch.Tensor
    """[n, size]: the same, rounded to the type of the fast product."""
    shortest: float
    """No vector is shorter."""
    longest: float
    """No vector is longer."""
    lost: float
    """No vector is farther than this from what the product takes for it."""


def prepared(vectors: torch.Tensor, coarse: torch.dtype) -> Vectors:
    """Finite vectors, [n, size] float32 or float16, n at least 1, with their bounds."""
    exact = vectors.float()
    rounded = exact.to(coarse)
    lengths = exact.norm(dim=1)
    least, most = lengths.aminmax()
    lost = rounded.float().sub_(exact).norm(dim=1).max() if coarse != torch.float32 else torch.zeros(())
    shortest, longest, most_lost = (float(one) for one in (least, most, lost))
    slack = (exact.shape[1] + 8) * 2.0**-23
    if coarse == torch.float32 and (exact.is_cuda or torch.get_float32_matmul_precision() != "highest"):
        most_lost = ROUNDED * longest
    return Vectors(exact, rounded, shortest * (1 - slack), longest * (1 + slack), most_lost * (1 + slack))


def check_finite(vectors: torch.Tensor, first: int) -> None:
    """Raise `ValueError` where one of the vectors, [n, size], is not finite; they are counted from `first`."""
    if not bool(vectors.sum().isfinite()):  # no finite float16 or float32 vectors about of length 1 overflow here
        wrong = (~vectors.isfinite()).any(dim=1).nonzero()
        if len(wrong):
            raise ValueError(f"vector {first + int(wrong[0])}, counted from 0, is not finite.")


@cache
def fastest(size: int, device: torch.device) -> torch.dtype:
    """The type in which products of vectors of this size are made fastest by one thread, by a trial of milliseconds.

    It changes no result: the network's own arithmetic decides. Processors with instructions for bfloat16 are several
    times faster by it, and others many times slower.
    """
    if device.type != "cpu":
        return torch.float32

    def duration(dtype: torch.dtype) -> float:
        left, right = torch.ones(1024, size, dtype=dtype), torch.ones(256, size, dtype=dtype)
        product, durations = torch.empty(1024, 256, dtype=dtype), []
        for _ in range(5):
            started = time.thread_time()  # a machine that does other work, too, would mislead a clock
            torch.mm(left, right.T, out=product)
            durations.append(time.thread_time() - started)
        return min(durations)

    return min((torch.float32, torch.bfloat16), key=duration)
