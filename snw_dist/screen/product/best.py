"""The best partners of every vector among any number of others, block by block.

The score is the network's own, from the distance of the two vectors (`compared_vectors`). A fast product tells which
pairs might be among the best: those that reach what the last of a list needs, less all that rounding can do. The
network's own arithmetic then decides. So the result is that of computing all scores and sorting them, bit for bit on a
CPU, and depends on no size of a block and no number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
import torch.nn.functional as F

from snw_dist.predict.one_thread import Each, passes_side_by_side
from snw_dist.screen.product.merge import Best, merged
from snw_dist.screen.product.passing import GROUP
from snw_dist.screen.product.tile import Tile
from snw_dist.screen.product.vectors import Vectors, check_finite, fastest, prepared

SPAN = 1 << 16
"""Partners in memory at once."""
BLOCK = {"cpu": (4096, 256), "cuda": (16384, 8192)}
"""Partners and rows that are multiplied at once: on a CPU their products stay in the cache of a core."""
SAMPLED = 32
"""One partner in so many is looked at beforehand."""

_Input = TypeVar("_Input")
_Output = TypeVar("_Output")


@torch.inference_mode()
def best_of(
    left: torch.Tensor,
    right: torch.Tensor,
    k: int,
    margin: float,
    by: Literal["left", "right"] = "right",
    device: torch.device | None = None,
) -> Best:
    """The best `k` of `left` [n, size] for each of `right` [m, size]: [m, min(k, n)]; with `by="left"` the other way.

    The vectors are about of length 1, float32 or float16 (these count as they are rounded), on a CPU, perhaps in a file
    that is mapped. `margin` is that of the network: the score depends on it. Memory: some blocks, and the lists.
    Of equal scores the partner with the lower number comes first.

    Raises `ValueError` where shapes do not fit, where a vector is not finite, and where nothing is to be found.
    """
    partners, rows = (left, right) if by == "right" else (right, left)
    if left.dim() != 2 or right.dim() != 2 or left.shape[1] != right.shape[1] or not left.numel() or not right.numel():
        raise ValueError(f"best_of: vectors of shapes {tuple(left.shape)} and {tuple(right.shape)} cannot be compared.")
    if k < 1 or not margin > 0:
        raise ValueError(f"best_of: k is {k} and the margin {margin}; both must be above 0.")
    check_finite(rows, 0)
    device = device or torch.device("cpu")
    search = _Search(rows, k, margin, device, fastest(left.shape[1], device))
    with _threads(device) as (each, threads):
        parts = search.parts(len(partners), threads)
        if len(parts) == 1:
            return search.best(partners, parts[0], threads, each)
        return merged(each(lambda part: search.best(partners, part, 1, _one_by_one), parts), k)


@dataclass(frozen=True)
class _Search:
    """What is the same for every part of the partners."""

    rows: torch.Tensor
    k: int
    margin: float
    device: torch.device
    coarse: torch.dtype

    def parts(self, num: int, threads: int) -> list[range]:
        """Numbers of partners that go by apart, where there are too few rows to give work to all threads."""
        idle = threads // -(-len(self.rows) // self._block[1])
        parts = max(1, min(idle, num // SPAN))
        return [range(num * part // parts, num * (part + 1) // parts) for part in range(parts)]

    def best(self, partners: torch.Tensor, part: range, threads: int, each: Each) -> Best:
        """The lists of all rows, [m, min(k, n)], among a part of the partners, [all, size]."""
        k, sample = min(self.k, len(part)), self._sample(partners, part)

        def begun(rows: torch.Tensor) -> Tile:
            return Tile(self._prepared(rows), k, self.margin, self._block[0], sample)

        tiles = each(begun, self._tiles(threads))
        for first in range(part.start, part.stop, SPAN):
            span = partners[first : min(first + SPAN, part.stop)]
            check_finite(span, first)
            vectors, num = self._prepared(F.pad(span, (0, 0, 0, -len(span) % GROUP))), len(span)

            def take(tile: Tile, vectors: Vectors = vectors, first: int = first, num: int = num) -> None:
                tile.take(vectors, first, num)

            each(take, tiles)
        lists = each(Tile.best, tiles)
        return Best(torch.cat([one.score for one in lists]), torch.cat([one.index for one in lists]))

    def _tiles(self, threads: int) -> tuple[torch.Tensor, ...]:
        """The rows, cut into parts of about one size, that all threads have as many of where there are enough."""
        num, width = len(self.rows), self._block[1]
        tiles = -(-num // width)
        if tiles >= threads:
            tiles = -(-tiles // threads) * threads
        return self.rows.tensor_split(tiles)

    def _sample(self, partners: torch.Tensor, part: range) -> Vectors | None:
        """Evenly from all of a part, in whole groups; none where there are few."""
        num = len(part)
        size = min(num, max(num // SAMPLED, 2 * GROUP * self.k), max(SPAN, 2 * GROUP * self.k)) // GROUP * GROUP
        if size < self.k:
            return None
        numbers = part.start + torch.arange(size) * num // size
        return self._prepared(partners[numbers])

    def _prepared(self, vectors: torch.Tensor) -> Vectors:
        return prepared(vectors.to(self.device), self.coarse)

    @property
    def _block(self) -> tuple[int, int]:
        return BLOCK[self.device.type]


@contextmanager
def _threads(device: torch.device) -> Iterator[tuple[Each, int]]:
    """How tiles are worked on: on a CPU by as many threads as torch has, which share none."""
    if device.type != "cpu":
        yield _one_by_one, 1
        return
    threads = torch.get_num_threads()
    with passes_side_by_side() as each:
        yield each, threads


def _one_by_one(make: Callable[[_Input], _Output], inputs: Iterable[_Input]) -> list[_Output]:
    return [make(one) for one in inputs]
