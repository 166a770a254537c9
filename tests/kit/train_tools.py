"""A small finished store for the tests of the training pieces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from snw_dist.embedding.store.commits import commit_shard, shard_buffer
from snw_dist.embedding.store.dtypes import torch_dtype
from snw_dist.embedding.store.group import create_part, finalize_part
from snw_dist.embedding.store.part_plan import PartPlan
from snw_dist.embedding.store.plan import plan_embedding, sequence_digest
from snw_dist.embedding.store.reader import StoreReader

WIDTH = 8


def embedding_of(sequence: str) -> NDArray[np.float32]:
    """Rows that depend on the sequence alone: [residues, WIDTH]."""
    generator = np.random.default_rng(int.from_bytes(sequence_digest(sequence)[:8], "big"))
    return generator.standard_normal((len(sequence), WIDTH), dtype=np.float32)


def stored(path: Path, sequences: list[str], dtype: str = "float32") -> StoreReader:
    plan = plan_embedding(sequences, 64, 8)
    encoder = {"name": "test", "description": "the test's own", "weights_sha256": "ab" * 32, "layers": [2]}
    encoder |= {
        "weights": "none",
        "combine": "concat",
        "arithmetic": "fp32",
        "window_residues": 2046,
        "window_overlap": 512,
    }
    names = [("ligand", sequence, i) for i, sequence in enumerate(plan.sequences)]
    part = PartPlan(0, path, plan, names, 0)
    create_part(path, plan, part.header(encoder, dtype, WIDTH), names)
    buffer = shard_buffer(plan, WIDTH, torch_dtype(dtype))
    for shard in range(plan.num_shards):
        rows = np.concatenate([embedding_of(plan.sequences[i]) for i in plan.shard_sequences(shard)])
        buffer[: len(rows)] = torch.from_numpy(rows)
        commit_shard(path, plan, shard, buffer)
    finalize_part(path, plan)
    return StoreReader(path)
