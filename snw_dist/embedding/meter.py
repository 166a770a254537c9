"""How fast a rank embeds, for its progress file and its records."""

from __future__ import annotations

import time
from typing import Any

from hpc.progress import ProgressFile
from snw_dist.embedding.encoder import Batch


class Meter:
    """Counts residues and operations of one rank, as a whole and since the beginning of its present shard."""

    def __init__(self, progress: ProgressFile, total_residues: int, gemm_rate: float) -> None:
        """`total_residues` are those of all ranks; `gemm_rate` is the limit in operations a second."""
        self._progress, self._total, self._limit = progress, total_residues, gemm_rate
        self._done = 0
        self._begin()

    def _begin(self) -> None:
        self._started, self._residues, self._flops = time.monotonic(), 0, 0

    def skip(self, residues: int) -> None:
        """These were committed before; to find that out is not counted as work on a shard that has not begun."""
        self._done += residues
        if not self._residues:
            self._begin()

    def add(self, batch: Batch) -> None:
        """One forward pass has ended."""
        self._done += batch.residues
        self._residues += batch.residues
        self._flops += batch.flops
        rate, share = self.speed().values()
        self._progress.update("embed", self._done, self._total, "residues", residues_per_s=rate, machine_share=share)

    def speed(self) -> dict[str, float]:
        """Residues a second in the present shard, and the share of the limit that its matrix products reach."""
        seconds = max(time.monotonic() - self._started, 1e-9)
        return {"residues_per_s": self._residues / seconds, "gemm_share": self._flops / seconds / self._limit}

    def record(self) -> dict[str, Any]:
        """The present shard as a whole; the next one begins."""
        record = {"residues": self._residues, "seconds": time.monotonic() - self._started, **self.speed()}
        self._begin()
        return record

    def end(self) -> None:
        """Leave the last state."""
        self._progress.update("embed", self._done, self._total, "residues", force=True)
