"""Shards are committed in the background while the next one is computed."""

from __future__ import annotations

import errno
import shutil
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

import torch

from hpc.errors import CorruptError
from hpc.save.fence import Fence
from snw_dist.embedding.store.commits import commit_shard, shard_buffer
from snw_dist.embedding.store.plan import EmbeddingPlan

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)


class ShardWriter:
    """At most one shard is being written while another one is filled, so a kill costs no more than one finished shard.

    Checksums, padding, pooled rows and the write itself happen in a thread; what goes wrong there is raised at the next
    call. A context manager: at its end everything is committed.
    """

    def __init__(
        self, part: Path, plan: EmbeddingPlan, row_width: int, dtype: torch.dtype, fence: Fence, pinned: bool = False
    ) -> None:
        """`pinned`: the rows come from a GPU."""
        self._part, self._plan, self._fence = part, plan, fence
        self._buffers = [shard_buffer(plan, row_width, dtype, pinned) for _ in range(2)]
        self._thread = ThreadPoolExecutor(1, "shard-writer")
        self._pending: Future[int] | None = None
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
            self._thread.shutdown(wait=True)

    @property
    def buffer(self) -> torch.Tensor:
        """Where the rows of the next shard go: [shard_rows, row_width]."""
        return self._buffers[0]

    def commit(self, shard: int) -> None:
        """Hand the filled buffer over; waits for the shard before."""
        self.wait()
        self._pending = self._thread.submit(self._write, shard, self._buffers[0])
        self._buffers.reverse()

    def wait(self) -> None:
        """Until everything handed over is committed; raises what went wrong."""
        if self._pending is None:
            return
        started = time.monotonic()
        pending, self._pending = self._pending, None
        self.written_bytes += pending.result()
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
