"""Small collectives for control decisions; with one process each of them is the identity.

They run on a group of their own over gloo, so that they never mix with the training traffic and work on any device.
What passes between ranks is numbers, bytes or JSON. torch's collectives of objects are not used: they unpickle what
comes over the network, and whoever has got into a connection would run his code here (seen). Bytes and JSON bear the
seal of the job, because gloo's own connections ask nobody who he is.
"""

from __future__ import annotations

import hmac
import json
import struct
from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import HashStore, Store

from hpc import errors
from hpc.errors import CorruptError, EnvironmentProblem, SnwError
from hpc.ranks.channel import seal

T = TypeVar("T")
MOST_BYTES = 2**30
"""What all ranks together may send in one exchange."""
_SEAL_BYTES = 32


class Communicator:
    """Agreement between the ranks of one job.

    `store` is the rendezvous store; its atomic `add` and its keys are shared by all ranks. `secret` is the job's.
    """

    def __init__(
        self, rank: int, world_size: int, store: Store, group: dist.ProcessGroup | None, secret: bytes = b""
    ) -> None:
        self.rank = rank
        self.world_size = world_size
        self.store = store
        self._group = group
        self._secret = secret
        self._num_sealed = 0

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
        """Rank 0's `value`, plain data (JSON), on every rank; the others' argument is ignored."""
        result: T = json.loads(self._from_rank_0(_plain(value) if self.rank == 0 else b""))
        return result

    def gather(self, value: T) -> list[T]:
        """Every rank's `value`, plain data (JSON), in rank order, on every rank."""
        return [json.loads(data) for data in self.gather_bytes(_plain(value))]

    def gather_bytes(self, data: bytes) -> list[bytes]:
        """Every rank's `data` in rank order, on every rank.

        Raises `EnvironmentProblem` when it is too much, or bears another seal than that of the job.
        """
        if self._group is None:
            return [data]
        own = self._sealed(self.rank, data)
        sizes = list(torch.zeros(self.world_size, 1, dtype=torch.int64))
        dist.all_gather(sizes, torch.tensor([len(own)], dtype=torch.int64), group=self._group)
        counts = [int(size.item()) for size in sizes]
        most = _checked(max(counts), self.world_size)
        parts = list(torch.zeros(self.world_size, most, dtype=torch.uint8))
        filled = torch.zeros(most, dtype=torch.uint8)
        filled[: len(own)] = torch.frombuffer(bytearray(own), dtype=torch.uint8)
        dist.all_gather(parts, filled, group=self._group)
        found = [part[: max(0, count)].numpy().tobytes() for part, count in zip(parts, counts, strict=True)]
        return self._opened(dict(enumerate(found)))

    def on_rank_0(self, action: Callable[[], T]) -> T:
        """Run `action` on rank 0 and give its result, plain data (JSON), or its `SnwError`, to all ranks.

        Whatever else goes wrong on rank 0 ends all ranks: rank 0 with the error itself, the others with a
        `RuntimeError` that names it.
        """
        outcome: dict[str, Any] = {}
        own: BaseException | None = None
        if self.rank == 0:
            try:
                outcome = {"value": action()}
                _plain(outcome)
            except BaseException as error:  # noqa: BLE001 - the others must not wait for what will not come
                own, outcome = error, {"error": described(error)}
        outcome = self.broadcast(outcome)
        if own is not None:
            raise own
        if "error" in outcome:
            raise error_of(outcome["error"], "rank 0")
        result: T = outcome["value"]
        return result

    def barrier(self) -> None:
        """Wait until every rank is here."""
        if self._group is not None:
            dist.barrier(group=self._group)

    def _from_rank_0(self, data: bytes) -> bytes:
        if self._group is None:
            return data
        own = self._sealed(0, data)
        size = torch.tensor([len(own)], dtype=torch.int64)
        dist.broadcast(size, src=0, group=self._group)
        content = torch.zeros(_checked(int(size.item()), 1), dtype=torch.uint8)
        if self.rank == 0:
            content = torch.frombuffer(bytearray(own), dtype=torch.uint8)
        dist.broadcast(content, src=0, group=self._group)
        return self._opened({0: content.numpy().tobytes()})[0]

    def _sealed(self, rank: int, data: bytes) -> bytes:
        """All ranks take part in each exchange, so that they count alike."""
        self._num_sealed += 1
        return seal(self._secret, struct.pack("!QQ", self._num_sealed, rank), data) + data

    def _opened(self, found: dict[int, bytes]) -> list[bytes]:
        for rank, data in found.items():
            expected = seal(self._secret, struct.pack("!QQ", self._num_sealed, rank), data[_SEAL_BYTES:])
            if not hmac.compare_digest(data[:_SEAL_BYTES], expected):
                raise EnvironmentProblem(
                    f"what came as rank {rank}'s does not bear the seal of this job: somebody else is in its "
                    "connections, or the ranks do not run the same program. Nothing of it is used."
                )
        return [data[_SEAL_BYTES:] for data in found.values()]


def described(error: BaseException) -> list[str]:
    """An error as plain data: the name of the `SnwError` that it is, or nothing, and its message."""
    if isinstance(error, SnwError):
        known = next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == errors.__name__)
        return [known, str(error)]
    return ["", f"{type(error).__name__}: {error}"]


def error_of(description: list[str], whose: str) -> Exception:
    """The error that `described` has told another rank of."""
    name, message = description
    kind = getattr(errors, name, None) if name else None
    if isinstance(kind, type) and issubclass(kind, SnwError):
        return kind(message)
    return RuntimeError(f"{whose} has failed ({message}); see its log")


def _plain(value: Any) -> bytes:
    """As JSON; raises `TypeError` for what is not plain data, also where there is only one rank."""
    return json.dumps(value).encode()


def _checked(num_bytes: int, num_parts: int) -> int:
    if not 0 < num_bytes * num_parts <= MOST_BYTES:
        raise EnvironmentProblem(
            f"the ranks want to exchange {num_parts} times {num_bytes:,} bytes; at most {MOST_BYTES:,} are allowed."
        )
    return num_bytes
