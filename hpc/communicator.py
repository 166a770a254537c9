"""Small collectives for control decisions; with one process each of them is the identity.

They run on a group of their own over gloo, so that they never mix with the training traffic and work on any device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import HashStore, Store

from hpc.errors import CorruptError, SnwError

T = TypeVar("T")


class Communicator:
    """Agreement between the ranks of one job.

    `store` is the rendezvous store; its atomic `add` and its keys are shared by all ranks.
    """

    def __init__(self, rank: int, world_size: int, store: Store, group: dist.ProcessGroup | None) -> None:
        self.rank = rank
        self.world_size = world_size
        self.store = store
        self._group = group

    @staticmethod
    def alone() -> Communicator:
        """The communicator of a single process."""
        return Communicator(0, 1, HashStore(), None)

    def any(self, flag: bool) -> bool:
        """True on every rank when it is true on at least one."""
        return self.max(int(flag)) > 0

    def any_of(self, *flags: bool) -> list[bool]:
        """`any` of each flag, in one exchange."""
        return [value > 0 for value in self._largest([int(flag) for flag in flags])]

    def max(self, value: int) -> int:
        """Largest `value` over the ranks."""
        return self._largest([value])[0]

    def _largest(self, values: list[int]) -> list[int]:
        if self._group is None:
            return values
        tensor = torch.tensor(values, dtype=torch.int64)
        dist.all_reduce(tensor, dist.ReduceOp.MAX, group=self._group)
        return [int(value) for value in tensor.tolist()]

    def sum(self, value: float) -> float:
        """Sum over the ranks, added in rank order in float64, so that every run gives the same bits."""
        return self.sums(value)[0]

    def sums(self, *values: float) -> list[float]:
        """`sum` of each value, in one exchange."""
        if self._group is None:
            return list(values)
        parts = list(torch.zeros(self.world_size, len(values), dtype=torch.float64))
        dist.all_gather(parts, torch.tensor(values, dtype=torch.float64), group=self._group)
        return [float(sum(of_ranks)) for of_ranks in zip(*(part.tolist() for part in parts), strict=True)]

    def agree_on(self, problem: CorruptError | None) -> None:
        """Collective: what is corrupt for any rank is so for all, which raise the first one's `CorruptError`."""
        for text in self.gather(None if problem is None else str(problem)):
            if text is not None:
                raise CorruptError(text) from problem

    def broadcast(self, value: T | None) -> T:
        """Rank 0's `value` on every rank; the others' argument is ignored."""
        values: list[Any] = [value]
        if self._group is not None:
            dist.broadcast_object_list(values, src=0, group=self._group)
        result: T = values[0]
        return result

    def gather(self, value: T) -> list[T]:
        """Every rank's `value`, in rank order, on every rank."""
        if self._group is None:
            return [value]
        values: list[Any] = [None] * self.world_size
        dist.all_gather_object(values, value, group=self._group)
        return values

    def on_rank_0(self, action: Callable[[], T]) -> T:
        """Run `action` on rank 0 and give its result, or its `SnwError`, to all ranks."""
        outcome: tuple[T | None, SnwError | None] | None = None
        if self.rank == 0:
            try:
                outcome = (action(), None)
            except SnwError as error:
                outcome = (None, error)
        result, problem = self.broadcast(outcome)
        if problem is not None:
            raise problem
        return cast(T, result)

    def barrier(self) -> None:
        """Wait until every rank is here."""
        if self._group is not None:
            dist.barrier(group=self._group)
