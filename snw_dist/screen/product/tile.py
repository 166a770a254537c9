"""The best partners so far of some rows, while all their possible partners go by in rising order."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from snw_dist.model.pair import compared_vectors
from snw_dist.screen.product.bound import farthest, least_product, most_squared, surely
from snw_dist.screen.product.merge import Best
from snw_dist.screen.product.passing import highest, passing, products
from snw_dist.screen.product.vectors import Vectors

PIECE = 1024
"""Pairs whose scores are computed at once, always: on CUDA another shape may be added in another order."""
FULL = 64
"""Rows are filled up to a multiple of this: the products of another number are made and compared more slowly."""
UNSETTLED = 1 << 16
"""Pairs that passed the product and wait for their scores, at most, besides those of one block."""
WASTE = 512
"""Where more than one pair in so many passes for nothing, a finer product costs less than their scores."""


class Tile:
    """Rows with their lists; `rows` of partners are multiplied with them at once."""

    def __init__(self, vectors: Vectors, k: int, margin: float, rows: int, sample: Vectors | None) -> None:
        self._k, self._margin, self._rows = k, margin, rows
        num, device = len(vectors.exact), vectors.exact.device
        self._fill = -num % FULL
        self._multiply(vectors)
        self._score = torch.full((num, k), -1.0, device=device)
        self._index = torch.full((num, k), -1, device=device)
        self._sure = torch.zeros(num, dtype=torch.float64, device=device)
        """[rows] scores that k partners have for sure, whoever they are."""
        self._waiting: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
        """Row, score, index of partners that are better than the last of a list; [found] each."""
        if sample is not None:
            self._learn(sample)

    def _learn(self, sample: Vectors) -> None:
        """What the best k of all partners surely reach: a sample of at least k of them does, [groups * GROUP, size]."""
        scratch, width = self._scratch(sample), _width(len(sample.exact), self._k, self._rows)
        groups = []
        for start in range(0, len(sample.exact), self._rows):
            product = products(sample.coarse[start : start + self._rows], self._coarse, scratch)
            groups.append(highest(product.view(-1, width, product.shape[-1])))
        # k groups that have a product this high have k products this high
        reached = torch.cat(groups)[:, : len(self._sure)].float().topk(self._k, dim=0, sorted=False).values.amin(dim=0)
        squared = most_squared(reached, sample, self._vectors)
        self._sure = surely(squared, sample.exact.shape[1], self._margin)

    def take(self, partners: Vectors, first: int, num: int) -> None:
        """Partners `first` to `first + num`; [num rounded up to a multiple of GROUP, size], later than all before."""
        if self._vectors.coarse.dtype == torch.float32:
            partners = partners.finely()
        scratch, least, positive = self._scratch(partners), *self._least(partners)
        found: list[tuple[torch.Tensor, torch.Tensor]] = []
        count = wasted = 0
        for start in range(0, len(partners.exact), self._rows):
            product = products(partners.coarse[start : start + self._rows], self._coarse, scratch)
            which, row = passing(product, least, positive)
            found.append((which + start, row))
            count += len(row)
            if count > UNSETTLED:
                wasted += count - self._settle(partners, first, num, found)
                least, positive = self._least(partners)
                found, count = [], 0
        wasted += count - self._settle(partners, first, num, found)
        if wasted * WASTE > len(partners.exact) * len(self._score):
            self._multiply(self._vectors.finely())

    def best(self) -> Best:
        """The lists, [rows, k]."""
        self._merge()
        assert bool((self._index >= 0).all()), "a bound was wrong"
        return Best(self._score, self._index)

    def _multiply(self, vectors: Vectors) -> None:
        """By these vectors from now on, in their coarse type."""
        self._vectors, self._coarse = vectors, F.pad(vectors.coarse, (0, 0, 0, self._fill))

    def _scratch(self, partners: Vectors) -> torch.Tensor:
        return partners.coarse.new_empty(min(self._rows, len(partners.coarse)), len(self._coarse))

    def _least(self, partners: Vectors) -> tuple[torch.Tensor, bool]:
        """[filled rows] products from which on a partner may be better than the last of a list; are all above 0?"""
        score = torch.maximum(self._score[:, -1].double(), self._sure)
        least = least_product(farthest(score, self._margin), partners, self._vectors)
        least = torch.where(score > 0, least, -torch.inf)
        return F.pad(least, (0, self._fill), value=torch.inf), bool(least.min() > 0)

    def _settle(self, partners: Vectors, first: int, num: int, found: list[tuple[torch.Tensor, torch.Tensor]]) -> int:
        """The network's own scores of pairs decide which of them wait; how many do."""
        if not found:
            return 0
        which, row = (torch.cat(parts) for parts in zip(*found, strict=True))
        score = self._scores(partners, which, row)
        better = score > self._score[row, -1]  # who ties with the last has a higher number
        better &= (score >= self._sure[row]) & (which < num)
        which, row, score = which[better], row[better], score[better]
        self._waiting.append((row, score, which + first))
        if sum(len(row) for row, _, _ in self._waiting) > self._score.numel() // 2:
            self._merge()
        return len(row)

    def _scores(self, partners: Vectors, which: torch.Tensor, row: torch.Tensor) -> torch.Tensor:
        """[pairs] float32, of pairs of numbers in `partners` and rows; [pairs] each."""
        fill = (0, -len(row) % PIECE)
        scores = [torch.empty(0, device=row.device)]
        for pairs in torch.stack([F.pad(which, fill), F.pad(row, fill)]).view(2, -1, PIECE).unbind(1):
            left, right = partners.exact.index_select(0, pairs[0]), self._vectors.exact.index_select(0, pairs[1])
            scores.append(compared_vectors(left, right, self._margin).score)
        return torch.cat(scores)[: len(row)]

    def _merge(self) -> None:
        """Lists of the best k of each row, by one sort by row and falling score that keeps the order of equal ones."""
        if not self._waiting:
            return
        num, k = self._score.shape
        rows, scores, indices = (torch.cat(parts) for parts in zip(*self._waiting, strict=True))
        row = torch.cat([torch.arange(num, device=rows.device).repeat_interleave(k), rows])
        score, index = torch.cat([self._score.flatten(), scores]), torch.cat([self._index.flatten(), indices])
        bits = score.view(torch.int32)  # they have the order of the scores, and those of -1 are below all
        order = (row * 2**32 - bits).argsort(stable=True)
        ends = torch.bincount(row, minlength=num).cumsum(0)
        place = torch.arange(k, device=row.device) + (ends - torch.bincount(row, minlength=num))[:, None]
        kept = order[place]
        self._score, self._index, self._waiting = score[kept], index[kept], []


def _width(num: int, k: int, most: int) -> int:
    """Products of which the highest is taken, a divisor of `most`: as many as leave 8 k groups, or one."""
    width = 1
    while 2 * width * 8 * k <= num and most % (2 * width) == 0 and num % (2 * width) == 0:
        width *= 2
    return width
