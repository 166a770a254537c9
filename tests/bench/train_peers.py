"""Training without this project: plain PyTorch DDP on files of rows, padded to one length; and both as jobs.

The network is the same one, written out with torch's own layers on the weights of ours, in one pass over a padded
batch. Every pair brings its two sequences, as data sets are written; one DataLoader worker for each processor
of a rank.
"""

from __future__ import annotations

import itertools
import json
import os
import time
import warnings
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from hpc.job.runtime import Runtime
from snw_dist.config import Precision, SnwConfig, config_from_dict
from snw_dist.data.prepared import load_prepared
from snw_dist.model.blocks import ConvBlock, two_ended_positions
from snw_dist.model.build import build_model
from snw_dist.model.losses import contrastive_loss
from snw_dist.model.pair import unit_distance
from snw_dist.model.pseudo_siamese import PseudoSiamese
from snw_dist.model.tower import Tower
from tests.bench.train_inputs import LAYER, WIDTH

Example = tuple[torch.Tensor, torch.Tensor, float]
WARM_UP = 3


class PlainTower(nn.Module):
    """A tower of the project over a padded batch; its weights are those of `tower`, and are changed with them."""

    def __init__(self, tower: Tower) -> None:
        super().__init__()
        first = tower.encoder.input
        self.norm, self.input = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, first.input.out_features)
        self.norm.weight, self.norm.bias = first.input.scale, first.input.shift
        self.input.weight, self.input.bias = first.input.weight, first.input.bias
        self.position, self.blocks = first.position, tower.encoder.blocks
        self.pooling, self.output = tower.pooling, tower.output

    def forward(self, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """[batch, cap, 960] and its mask -> [batch, embedding_size]."""
        x = self.input(self.norm(states.float())) + self.position(two_ended_positions(mask))
        for block in self.blocks:
            x = _convolved(block, x, mask) if isinstance(block, ConvBlock) else _attended(block, x, mask)
        return F.normalize(self.output(self.pooling(x, mask).flatten(1)), dim=-1)


# The blocks by torch's own layers, as somebody else would write them; ours may take other ways to the same.
def _convolved(block: Any, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    inner, own = block.norm(x).masked_fill(~mask[..., None], 0.0), block.convolution
    local = F.conv1d(inner.transpose(1, 2), own.weight, own.bias, padding="same")
    return x + block.dropout(F.gelu(local)).transpose(1, 2)


def _attended(block: Any, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    q, k, v = block.qkv(block.attention_norm(x)).unflatten(-1, (3, block.num_heads, -1)).permute(2, 0, 3, 1, 4)
    dropout = block.dropout if block.training else 0.0
    context = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :], dropout_p=dropout)
    x = x + F.dropout(block.out(context.transpose(1, 2).flatten(2)), block.dropout, block.training)
    return x + block.feed_forward(x)


class PlainPair(nn.Module):
    """Distances of the pairs of a batch, by two plain towers."""

    def __init__(self, model: PseudoSiamese) -> None:
        super().__init__()
        assert isinstance(model.ligand_tower, Tower)
        assert isinstance(model.receptor_tower, Tower)
        self.ligand_tower, self.receptor_tower = PlainTower(model.ligand_tower), PlainTower(model.receptor_tower)

    def forward(self, sides: list[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
        """[batch] from (states, mask) of ligands and of receptors."""
        return unit_distance(self.ligand_tower(*sides[0]), self.receptor_tower(*sides[1]))


class Pairs(Dataset[Example]):
    """Rows of ligand and receptor and the label of each training pair, from `.pt` files or from one HDF5 file."""

    def __init__(self, config: SnwConfig, source: str) -> None:
        pairs = load_prepared(config.data_folder).pairs.query("split == 'train'")
        self._ids = list(zip(pairs["ligand_id"], pairs["receptor_id"], strict=True))
        self._labels = pairs["label"].to_numpy(dtype=np.float32)
        self._folder, self._source = Path(config.run.folder), source
        self._file: h5py.File | None = None  # opened in the worker

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, index: int) -> Example:
        ligand, receptor = (self._rows(name) for name in self._ids[index])
        return ligand, receptor, float(self._labels[index])

    def _rows(self, name: str) -> torch.Tensor:
        if self._source == "pt":
            rows: torch.Tensor = torch.load(self._folder / "pt" / f"{name}.pt")["representations"][LAYER]
            return rows
        if self._file is None:
            self._file = h5py.File(self._folder / "rows.h5", "r")
        return torch.from_numpy(self._file[name][:])


class Padded:
    """Collate function: both sides padded to `cap`, so that every batch has one shape."""

    def __init__(self, caps: Sequence[int]) -> None:
        self._caps = caps

    def __call__(self, examples: list[Example]) -> tuple[list[tuple[torch.Tensor, torch.Tensor]], torch.Tensor]:
        """(states, mask) of each side, and labels."""
        sides = []
        for side, cap in enumerate(self._caps):
            states = torch.zeros(len(examples), cap, WIDTH, dtype=examples[0][0].dtype)
            lengths = torch.tensor([len(example[side]) for example in examples])  # type: ignore[arg-type]
            for row, example in enumerate(examples):
                states[row, : int(lengths[row])] = example[side]
            sides.append((states, torch.arange(cap) < lengths[:, None]))
        return sides, torch.tensor([example[2] for example in examples])


class Plain:
    """A network in DDP with AdamW; in bf16 by autocast, as PyTorch's own recipe is."""

    def __init__(self, network: nn.Module, config: SnwConfig, runtime: Runtime, precision: Precision = "fp32") -> None:
        train, self._margin, self._device = config.train, config.model.margin, runtime.device
        self._clipping, self._bf16 = train.gradient_clipping, precision == "bf16"
        self._model = DistributedDataParallel(network.train().to(runtime.device))
        self._optimizer = torch.optim.AdamW(
            self._model.parameters(), lr=train.learning_rate, weight_decay=train.weight_decay
        )

    def step(self, sides: Any, label: torch.Tensor) -> torch.Tensor:
        """One step; `sides` are what the network takes, the loss [] stays on the device."""
        self._optimizer.zero_grad()
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16):
            distance = self._model(sides)
        loss = contrastive_loss(distance, label, self._margin).mean()
        loss.backward()
        nn.utils.clip_grad_norm_(self._model.parameters(), self._clipping)
        self._optimizer.step()
        return loss


def loader_of(config: SnwConfig, runtime: Runtime, source: str, caps: Sequence[int]) -> Generator[Any]:
    """Padded batches of this rank from files, epoch after epoch."""
    data = Pairs(config, source)
    sampler: DistributedSampler[Example] = DistributedSampler(
        data, runtime.comm.world_size, runtime.comm.rank, seed=1, drop_last=True
    )
    size = config.train.global_batch_size // runtime.comm.world_size
    loader = DataLoader(
        data, size, sampler=sampler, num_workers=runtime.topology.num_cpus, collate_fn=Padded(caps),
        drop_last=True, persistent_workers=True, pin_memory=runtime.device.type == "cuda",
    )  # fmt: skip
    for epoch in itertools.count():
        sampler.set_epoch(epoch)
        yield from loader


def plain_network(config: SnwConfig) -> PlainPair:
    """The network of a configuration over padded batches."""
    built = build_model(config.model, WIDTH, config.run.seed)
    assert isinstance(built, PseudoSiamese)
    return PlainPair(built)


def placed(batch: Any, device: torch.device) -> tuple[list[tuple[torch.Tensor, torch.Tensor]], torch.Tensor]:
    """A padded batch on its device."""
    sides, label = batch
    moved = [(states.to(device, non_blocking=True), mask.to(device)) for states, mask in sides]
    return moved, label.to(device)


def _pin(runtime: Runtime) -> None:
    """A rank of one thread stays on one processor, as Slurm binds it; what reads ahead for it is there too."""
    own = sorted(os.sched_getaffinity(0))
    if runtime.topology.num_cpus == 1:
        os.sched_setaffinity(0, {own[runtime.topology.local_rank % len(own)]})


def peer(values: dict[str, Any], runtime: Runtime) -> None:
    """Job: steps of DDP after a warm-up; leaves their seconds, and those waiting for the loader."""
    _pin(runtime)
    config = config_from_dict(values["config"])
    batches = loader_of(config, runtime, values["source"], values["caps"])
    training, waited = Plain(plain_network(config), config, runtime), 0.0
    for step in range(WARM_UP + values["steps"]):
        if step == WARM_UP:
            runtime.comm.barrier()
            started, waited = time.perf_counter(), 0.0
        asked = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - asked
        training.step(*placed(batch, runtime.device)).item()
    runtime.comm.barrier()
    _leave(runtime, time.perf_counter() - started, waited, 0.0)


def ours(values: dict[str, Any], runtime: Runtime) -> None:
    """Job: steps of the real training job after a warm-up, then what a save takes from them."""
    _pin(runtime)
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # DeepSpeed's imports use what torch has deprecated
        from snw_dist.train.build import build_training
        from snw_dist.train.loop import take_step

        with build_training(config_from_dict(values["config"]), runtime) as run:
            waited = 0.0
            for step in range(WARM_UP + values["steps"]):
                if step == WARM_UP:
                    runtime.comm.barrier()
                    started, waited = time.perf_counter(), 0.0
                assert not runtime.guard.should_stop()
                take_step(run)
                waited += run.feed.waited_s
            runtime.comm.barrier()
            seconds = time.perf_counter() - started
            saving = time.perf_counter()
            run.checkpoints.save(run.progress)
            stall = time.perf_counter() - saving
            run.checkpoints.commit()
    _leave(runtime, seconds, waited, stall)


def _leave(runtime: Runtime, seconds: float, waited: float, stall: float) -> None:
    result = {"seconds": seconds, "waited": waited, "stall": stall}
    (runtime.job_folder / f"result-rank{runtime.comm.rank}.json").write_text(json.dumps(result))
