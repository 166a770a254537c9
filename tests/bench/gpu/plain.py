"""Plain PyTorch beside the training job: batches in memory, and files."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from hpc.job.runtime import Runtime
from snw_dist.config import SnwConfig, config_from_dict
from snw_dist.data.prepared import load_prepared
from snw_dist.embedding.store.reader import StoreReader
from snw_dist.model.build import build_model
from snw_dist.predict.batches import IndexedPairs, make_batch
from snw_dist.predict.stored_pairs import indexed_pairs
from snw_dist.train.plan import TrainPlan
from tests.bench.gpu.scale import wait_for
from tests.bench.gpu.train_jobs import leave
from tests.bench.train_inputs import WIDTH
from tests.bench.train_peers import WARM_UP, Padded, Pairs, Plain, loader_of, placed, plain_network


def peers(values: dict[str, Any], runtime: Runtime) -> None:
    """Job: plain PyTorch on each input, in float32 and by autocast in bf16; leaves seconds of a pass over the steps.

    `files`: one `.pt` file a sequence, read by workers. `padded`: the same batches, on the device already. `grouped`:
    the network of the project as it is and its own batches, on the device already.
    """
    for title, config, caps in values["inputs"]:
        from_memory(title, config_from_dict(config), caps, values, runtime)
        gc.collect()
        from_files(title, config_from_dict(config), caps, values, runtime)


def from_memory(title: str, config: SnwConfig, caps: Sequence[int], values: dict[str, Any], runtime: Runtime) -> None:
    """`grouped` and `padded`."""
    device, pairs = runtime.device, pairs_of_steps(config, WARM_UP + values["steps"])
    sources: dict[str, tuple[Callable[[], nn.Module], list[Any]]] = {}
    sources["grouped"] = (lambda: OwnPair(config), own_batches(config, pairs, device))
    sources["padded"] = (lambda: plain_network(config), padded_batches(config, pairs[: WARM_UP + 4], caps, device))
    for source, (network, batches) in sources.items():
        for precision in values["precisions"]:
            training = Plain(network(), config, runtime, precision)
            for batch in batches[:WARM_UP]:
                training.step(*batch)
            found = in_memory(training, batches[WARM_UP:], values["repeats"], device)
            leave(runtime, title, f"{source} {precision}", found)


def from_files(title: str, config: SnwConfig, caps: Sequence[int], values: dict[str, Any], runtime: Runtime) -> None:
    """`files`."""
    loader, steps = loader_of(config, runtime, "pt", caps), values["file_steps"]
    for precision in values["precisions"]:
        training = Plain(plain_network(config), config, runtime, precision)
        for _ in range(WARM_UP):
            training.step(*placed(next(loader), runtime.device)).item()
        started = time.perf_counter()
        for _ in range(steps):
            training.step(*placed(next(loader), runtime.device)).item()
        took = time.perf_counter() - started
        leave(runtime, title, f"files {precision}", {"num_steps": steps, "seconds": took, "again_s": [took]})
    loader.close()


def in_memory(training: Plain, batches: Sequence[Any], repeats: int, device: torch.device) -> dict[str, Any]:
    """Seconds of the first pass over the batches, and of further ones."""

    def run() -> float:
        wait_for(device)
        started = time.perf_counter()
        for batch in batches:
            training.step(*batch)
        wait_for(device)
        return time.perf_counter() - started

    return {"num_steps": len(batches), "seconds": run(), "again_s": [run() for _ in range(repeats)]}


class OwnPair(nn.Module):
    """Distances by the network of the project."""

    def __init__(self, config: SnwConfig) -> None:
        super().__init__()
        self.network = build_model(config.model, WIDTH, config.run.seed)

    def forward(self, sides: Any) -> torch.Tensor:
        """[num_pairs] from the two sides of a batch."""
        distance: torch.Tensor = self.network(*sides).distance
        return distance


def table_of(config: SnwConfig) -> tuple[IndexedPairs, StoreReader]:
    """The training pairs and their rows."""
    reader = StoreReader(config.store_path)
    return indexed_pairs(load_prepared(config.data_folder), reader, "train"), reader


def pairs_of_steps(config: SnwConfig, count: int) -> list[np.ndarray]:
    """Which pairs the job has in its first steps."""
    train, (table, _) = config.train, table_of(config)
    plan = TrainPlan(
        table.receptor, train.global_batch_size, train.epochs, None, config.run.seed, train.pairs_per_receptor
    )
    return [plan.pairs_of_step(step) for step in range(count)]


def own_batches(config: SnwConfig, pairs: Sequence[np.ndarray], device: torch.device) -> list[Any]:
    """As the job makes them."""
    table, reader = table_of(config)
    made = (make_batch(table, of_step, reader, config.model.max_length, device) for of_step in pairs)
    return [((batch.ligand, batch.receptor), batch.target.label) for batch in made]


def padded_batches(
    config: SnwConfig, pairs: Sequence[np.ndarray], caps: Sequence[int], device: torch.device
) -> list[Any]:
    """As a DataLoader makes them of files."""
    data, collate = Pairs(config, "pt"), Padded(caps)
    return [placed(collate([data[int(pair)] for pair in of_step]), device) for of_step in pairs]
