"""Vectors beside what they become for the fast product, with the most that any of them loses by it."""

from __future__ import annotations

import time
from functools import cache
from typing import NamedTuple

import torch

ROUNDED = 2.0**-8
"""Largest relative error of a number in bfloat16, however it was rounded to it; also of what fp32 may be rounded to
inside a product (TF32, or bfloat16 where torch is told that less than the "highest" precision will do)."""

LONGEST = 1.1
"""No vector of a tower is longer, in whatever type it is kept."""
PIECE = 512
"""Vectors that are rounded at once."""


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

    def finely(self) -> Vectors:
        """The same for a product in float32."""
        return self._replace(coarse=self.exact, lost=_lost_in_float32(self.exact, self.longest))


def prepared(vectors: torch.Tensor, coarse: torch.dtype) -> Vectors:
    """Finite vectors, [n, size] float32 or float16, n at least 1, with their bounds."""
    exact = vectors.float()
    slack = 1 + (exact.shape[1] + 8) * 2.0**-23
    lengths = torch.linalg.vector_norm(exact, dim=1)
    shortest, longest = (float(one) for one in lengths.aminmax())
    if coarse != torch.float32:
        rounded, lost = _rounded(exact, coarse)
    else:
        rounded, lost = exact, _lost_in_float32(exact, longest)
    return Vectors(exact, rounded, shortest / slack, longest * slack, lost * slack)


def _lost_in_float32(exact: torch.Tensor, longest: float) -> float:
    """Nothing, but where a product may round its vectors itself."""
    return ROUNDED * longest if exact.is_cuda or torch.get_float32_matmul_precision() != "highest" else 0.0


def _rounded(exact: torch.Tensor, coarse: torch.dtype) -> tuple[torch.Tensor, float]:
    """Rounded vectors, [n, size], and how far the worst of them is from the exact one; in pieces that fit a cache."""
    rounded, lost = torch.empty_like(exact, dtype=coarse), exact.new_empty(len(exact))
    for start in range(0, len(exact), PIECE):
        piece = slice(start, start + PIECE)
        rounded[piece] = exact[piece]
        torch.linalg.vector_norm(rounded[piece].float().sub_(exact[piece]), dim=1, out=lost[piece])
    return rounded, float(lost.max())


def check_lengths(vectors: torch.Tensor, first: int) -> None:
    """Raise `ValueError` where one of the vectors, [n, size], is too long or not finite; they count from `first`."""
    lengths = torch.linalg.vector_norm(vectors.float(), dim=1)
    wrong = (~(lengths <= LONGEST)).nonzero()
    if len(wrong):
        row = int(wrong[0])
        raise ValueError(f"vector {first + row}, counted from 0, is no unit vector: its length is {lengths[row]:g}.")


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
