"""A small finished store for the tests of the training pieces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snw_dist.embedding.plan import plan_embedding, sequence_digest
from snw_dist.embedding.reader import StoreReader
from snw_dist.embedding.store import StoreHeader, commit_shard, create_store, finalize_store

WIDTH = 8


def embedding_of(sequence: str) -> NDArray[np.float32]:
    """Rows that depend on the sequence alone: [residues, WIDTH]."""
    generator = np.random.default_rng(int.from_bytes(sequence_digest(sequence)[:8], "big"))
    return generator.standard_normal((len(sequence), WIDTH), dtype=np.float32)


def stored(path: Path, sequences: list[str], dtype: str = "float32") -> StoreReader:
    plan = plan_embedding(sequences, 64, 8)
    encoder = {"name": "test", "description": "the test's own", "weights_sha256": "ab" * 32, "layer": -1}
    header = StoreHeader(
        encoder=encoder,
        logical_dtype=dtype,
        d_model=WIDTH,
        plan_digest=plan.digest(encoder),
        num_sequences=len(plan.sequences),
        num_shards=plan.num_shards,
        shard_rows=plan.shard_rows,
        chunk_rows=plan.chunk_rows,
    )
    create_store(path, plan, header, [("ligand", s, i) for i, s in enumerate(plan.sequences)])
    for shard in range(plan.num_shards):
        rows = np.concatenate([embedding_of(plan.sequences[i]) for i in plan.shard_sequences(shard)])
        commit_shard(path, plan, shard, rows, dtype)
    finalize_store(path, plan, WIDTH)
    return StoreReader(path)
