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
from functools import partial
from typing import Literal, TypeVar

import torch

from snw_dist.predict.one_thread import Each, passes_side_by_side
from snw_dist.screen.product.merge import Best, merged
from snw_dist.screen.product.passing import GROUP
from snw_dist.screen.product.tile import Tile
from snw_dist.screen.product.vectors import LONGEST, Vectors, check_lengths, fastest, prepared

SPAN = 1 << 16
"""Partners in memory at once."""
BLOCK = {"cpu": (1024, 512), "cuda": (16384, 8192)}
"""Partners and rows that are multiplied at once: on a CPU their products stay in the cache of a core."""
SAMPLED = 8
"""One partner in so many is looked at beforehand, up to `MOST_SAMPLED`, and at least 16 for each place of a list."""
MOST_SAMPLED = 1 << 17
MANY = 256
"""Rows from which on it pays to round the partners for a faster product."""

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

    Unit vectors, float32 or float16 (these count as they are rounded), on a CPU, perhaps in a file that is mapped.
    `margin` is that of the network: the score depends on it. Memory: some blocks, and the lists.
    Of equal scores the partner with the lower number comes first. The lists are on a CPU.

    Raises `ValueError` where shapes do not fit, a vector is too long or not finite, or there is nothing to find.
    """
    partners, rows = (left, right) if by == "right" else (right, left)
    if left.dim() != 2 or right.dim() != 2 or left.shape[1] != right.shape[1] or not left.numel() or not right.numel():
        raise ValueError(f"best_of: vectors of shapes {tuple(left.shape)} and {tuple(right.shape)} cannot be compared.")
    if k < 1 or not margin > 0:
        raise ValueError(f"best_of: k is {k} and the margin {margin}; both must be above 0.")
    check_lengths(rows, 0)
    device = device or torch.device("cpu")
    with _threads(device) as (each, threads):
        coarse = each(partial(fastest, left.shape[1]), [device])[0] if len(rows) >= MANY else torch.float32
        search = _Search(rows, k, margin, device, coarse)
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
        k = min(self.k, len(part))
        sample = self._sample(partners, part, k)

        def begun(rows: torch.Tensor) -> Tile:
            return Tile(self._prepared(rows), k, self.margin, self._block[0], sample)

        tiles = each(begun, self._tiles(threads))
        spans = [range(first, min(first + SPAN, part.stop)) for first in range(part.start, part.stop, SPAN)]
        vectors = self._span(partners, spans[0])
        for span, following in zip(spans, [*spans[1:], range(0)], strict=True):
            work = partial(self._turn, partners, vectors, span, following)
            vectors = each(work, [None, *tiles])[0]
        lists = each(Tile.best, tiles)
        return Best(torch.cat([one.score for one in lists]).cpu(), torch.cat([one.index for one in lists]).cpu())

    def _turn(
        self, partners: torch.Tensor, vectors: Vectors, span: range, following: range, tile: Tile | None
    ) -> Vectors:
        """One tile with the vectors of a span; or, meanwhile, the vectors of the following one."""
        if tile is not None:
            tile.take(vectors, span.start, len(span))
        return self._span(partners, following) if tile is None and following else vectors

    def _tiles(self, threads: int) -> tuple[torch.Tensor, ...]:
        """The rows, cut into parts of about one size, that all threads have as many of where there are enough."""
        num, width = len(self.rows), self._block[1]
        tiles = -(-num // width)
        if tiles >= threads:
            tiles = -(-tiles // threads) * threads
        return self.rows.tensor_split(tiles)

    def _span(self, partners: torch.Tensor, span: range) -> Vectors:
        """Some partners, in whole groups."""
        vectors, fill = partners[span.start : span.stop], -len(span) % GROUP
        # filled with the last one: a vector of zeros would be shorter than all, and loosen the bound for all
        ready = self._prepared(torch.cat([vectors, vectors[-1:].expand(fill, -1)]) if fill else vectors)
        if not ready.longest <= LONGEST:  # nor is NaN
            check_lengths(vectors, span.start)
        return ready

    def _sample(self, partners: torch.Tensor, part: range, k: int) -> Vectors | None:
        """Whole groups, evenly from all of a part; none where there are few."""
        groups = min(len(part), max(16 * k, min(len(part) // SAMPLED, MOST_SAMPLED))) // GROUP
        if groups > 1024:
            groups -= groups % 128  # so that the tile can look at larger groups
        if groups * GROUP < k:
            return None
        starts = part.start + torch.arange(groups) * (len(part) // GROUP) // groups * GROUP
        return self._prepared(partners[(starts[:, None] + torch.arange(GROUP)).flatten()])

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
