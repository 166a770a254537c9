"""Shards are committed in the background while the next one is computed."""

from __future__ import annotations

import errno
import shutil
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

import torch

from hpc.errors import CorruptError
from hpc.save.fence import Fence
from snw_dist.embedding.store.commits import commit_shard, shard_buffer
from snw_dist.embedding.store.plan import EmbeddingPlan

_BUFFERS_BYTES = 4 * 2**30
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)


class ShardWriter:
    """At most one shard is being written while another one is filled, so a kill costs no more than one finished shard.

    Three are written at once where a GPU fills them: it takes 25 ms for one, and 30 to 50 ms go by until it is durable.
    Checksums, padding, pooled rows and the write itself happen in threads; what goes wrong there is raised at a later
    call. A context manager: at its end everything is committed.
    """

    def __init__(
        self, part: Path, plan: EmbeddingPlan, row_width: int, dtype: torch.dtype, fence: Fence, from_gpu: bool = False
    ) -> None:
        self._part, self._plan, self._fence = part, plan, fence
        self._at_once = _at_once(plan.shard_rows * row_width * dtype.itemsize) if from_gpu else 1
        self._buffers = deque(shard_buffer(plan, row_width, dtype, from_gpu) for _ in range(self._at_once + 1))
        self._threads = ThreadPoolExecutor(self._at_once, "shard-writer")
        self._pending: deque[Future[int]] = deque()
        self.waited_s = 0.0
        """Time in which this rank could not compute because a shard was still being written."""
        self.written_bytes = 0

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.wait()
        finally:
            self._threads.shutdown(wait=True)

    @property
    def buffer(self) -> torch.Tensor:
        """Where the rows of the next shard go: [shard_rows, row_width]."""
        return self._buffers[0]

    def commit(self, shard: int) -> None:
        """Hand the filled buffer over; waits until another one is free."""
        self.wait(self._at_once - 1)
        self._pending.append(self._threads.submit(self._write, shard, self._buffers[0]))
        self._buffers.rotate(-1)

    def wait(self, most: int = 0) -> None:
        """Until all but `most` of what was handed over is committed, the oldest first; raises what went wrong."""
        started = time.monotonic()
        while len(self._pending) > most:
            self.written_bytes += self._pending.popleft().result()
        self.waited_s += time.monotonic() - started

    def _write(self, shard: int, buffer: torch.Tensor) -> int:
        self._fence.check()
        try:
            return commit_shard(self._part, self._plan, shard, buffer, self._fence.work, self._fence.check)
        except OSError as error:
            self._fence.check()  # a successor removes what this one was making
            if error.errno not in _DISK:
                raise
            free = shutil.disk_usage(self._part).free
            raise CorruptError(
                f"{self._part}: shard {shard} cannot be written: {error.strerror} ({free / 1e9:.2f} GB free). "
                "Committed shards are kept: make room, then start the same command again."
            ) from None


def _at_once(shard_bytes: int) -> int:
    """How many shards from a GPU are written at once: three, or fewer where they and the one being filled are large."""
    return max(1, min(3, _BUFFERS_BYTES // shard_bytes - 1))
