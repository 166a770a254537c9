"""The batches of a run, read ahead: while a step computes, the next ones are read, padded and copied to the device.

What is in a batch depends on the plan and the step alone, not on how far ahead it was read.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from hpc.machine.prefetch import Prefetch
from snw_dist.embedding.row_reader import RowReader
from snw_dist.predict.batches import IndexedPairs, PairBatch, make_batch
from snw_dist.train.balance import equal_parts, rank_share
from snw_dist.train.meter import Meter
from snw_dist.train.plan import TrainPlan
from snw_dist.trained_run.trajectory import accumulation_steps


class StepBatches(NamedTuple):
    """What one rank computes in an optimiser step."""

    num_pairs: int
    """Of the step, over all ranks."""
    operations: float
    """Likewise: those that the pairs need, see `Meter`."""
    micro_batches: list[tuple[PairBatch, int]]
    """With the weights in the mean over the step, and the most pairs that any rank has in this micro-batch."""


class Feed:
    """Iterator over the steps of a run from `first_step` on, for one rank."""

    def __init__(
        self,
        table: IndexedPairs,
        reader: RowReader,
        plan: TrainPlan,
        meter: Meter,
        *,
        first_step: int,
        rank: int,
        world_size: int,
        micro_batch_size: int,
        max_length: int,
        device: torch.device,
    ) -> None:
        self._table, self._reader, self._plan, self._meter = table, reader, plan, meter
        self._rank, self._world_size, self._micro_batch_size = rank, world_size, micro_batch_size
        self._num_micro = accumulation_steps(plan.global_batch_size, micro_batch_size, world_size)
        self._lengths = np.minimum(reader.lengths, max_length)
        self._max_length, self._device = max_length, device
        # A stream of its own, or the copies would wait for the computing that they are to be hidden behind.
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
        self._steps = Prefetch(self._make, first_step, plan.num_steps)

    @property
    def waited_s(self) -> float:
        """Seconds that the last step was waited for."""
        return self._steps.waited_s

    def __next__(self) -> StepBatches:
        step, copied = next(self._steps)
        if copied is not None:
            stream = torch.cuda.current_stream(self._device)
            stream.wait_event(copied)
            for batch, _ in step.micro_batches:
                for tensor in (item for part in batch for item in part if isinstance(item, torch.Tensor)):
                    tensor.record_stream(stream)
        return step

    def close(self) -> None:
        """Drop what was read ahead."""
        self._steps.close()

    def _make(self, step: int) -> tuple[StepBatches, torch.cuda.Event | None]:
        pairs = self._plan.pairs_of_step(step)
        ligand, receptor = self._table.ligand[pairs], self._table.receptor[pairs]
        parts = equal_parts(
            receptor,
            self._lengths[ligand],
            self._lengths[receptor],
            self._num_micro * self._world_size,
            self._micro_batch_size,
        )
        micro_batches = []
        with torch.cuda.stream(self._stream):
            for micro in rank_share(pairs, self._table.weight[pairs], parts, self._rank, self._world_size):
                batch = make_batch(self._table, micro.pairs, self._reader, self._max_length, self._device)
                weight = torch.from_numpy(micro.weight).to(self._device)
                batch = batch._replace(target=batch.target._replace(weight=weight))
                micro_batches.append((batch, micro.num_rows))
        copied = None if self._stream is None else self._stream.record_event()
        operations = self._meter.operations(self._lengths, ligand, receptor, parts)
        return StepBatches(len(pairs), operations, micro_batches), copied
