"""The embedding job: every rank claims shards, computes them and commits them; rank 0 opens and closes the store."""

from __future__ import annotations

import logging
import shutil
import time
from pathlib import Path
from typing import Any

from hpc.errors import EnvironmentProblem, Preempted
from hpc.fence import Fence
from hpc.logs import JsonLines
from hpc.process_group import choose_device
from hpc.runtime import Runtime
from hpc.work_queue import claim_units
from snw_dist.config import SnwConfig, config_from_dict
from snw_dist.data.prepared import Prepared, load_prepared
from snw_dist.embedding.encoder import Encoder, build_encoder, load_encoder_weights
from snw_dist.embedding.plan import EmbeddingPlan, plan_embedding
from snw_dist.embedding.store import (
    PARTS,
    StoreHeader,
    check_same_plan,
    commit_shard,
    committed_shards,
    create_store,
    encoder_identity,
    finalize_store,
    read_header,
)
from snw_dist.embedding.weights import locate_weights

log = logging.getLogger(__name__)


def check_embedding(config: SnwConfig) -> None:
    """What can be known before a job is submitted: the weights are there; a hub id is fetched into the cache."""
    encoder = config.encoder
    if encoder.name == "esmc" and encoder.weights is not None:
        locate_weights(encoder.weights, encoder.revision)
    else:
        load_encoder_weights(encoder.name, encoder.weights, None, None)  # the small one, or refused


def run_embedding(values: dict[str, Any], runtime: Runtime) -> None:
    """Entry point of the embedding job."""
    config = config_from_dict(values)
    prepared = load_prepared(config.data_folder)
    plan, names = plan_store(prepared, config)
    encoder = _encoder(config, runtime)
    settings = encoder_identity(encoder.facts) | {"dtype": config.store.dtype, "d_model": encoder.model.d_model}
    header = StoreHeader(
        encoder=encoder.facts,
        logical_dtype=config.store.dtype,
        d_model=encoder.model.d_model,
        plan_digest=plan.digest(settings),
        num_sequences=len(plan.sequences),
        num_shards=plan.num_shards,
        shard_rows=plan.shard_rows,
        chunk_rows=plan.chunk_rows,
    )
    todo = runtime.comm.on_rank_0(lambda: _open_store(config.store_path, plan, header, names))
    if todo is None:
        log.info("%s is complete already", config.store_path)
        return
    fence = runtime.comm.on_rank_0(lambda: Fence(config.store_path / PARTS, runtime.attempt))
    _fill(config, runtime, encoder, plan, todo, fence)
    runtime.comm.on_rank_0(lambda: finalize_store(config.store_path, plan, header.d_model))
    log.info("%s is complete: %d sequences", config.store_path, len(plan.sequences))


def plan_store(prepared: Prepared, config: SnwConfig) -> tuple[EmbeddingPlan, list[tuple[str, str, int]]]:
    """The plan for the distinct sequences of both tables, and (kind, id, sequence index) of every name."""
    tables = (("ligand", prepared.ligands), ("receptor", prepared.receptors))
    sequences = [sequence for _, table in tables for sequence in table.values()]
    plan = plan_embedding(sequences, config.store.shard_rows, config.store.chunk_rows)
    index = {sequence: i for i, sequence in enumerate(plan.sequences)}
    names = [(kind, name, index[sequence]) for kind, table in tables for name, sequence in sorted(table.items())]
    return plan, names


def _encoder(config: SnwConfig, runtime: Runtime) -> Encoder:
    section = config.encoder
    device = choose_device(section.device, runtime.topology.local_rank)
    loaded = load_encoder_weights(section.name, section.weights, section.revision, section.sha256)
    encoder = build_encoder(section.name, loaded, device, section.precision, section.layer, section.tokens_per_batch)
    if len(set(runtime.comm.gather(str(encoder_identity(encoder.facts))))) != 1:
        raise EnvironmentProblem(
            "the ranks do not have the same encoder: other weights, device or arithmetic on some node"
        )
    return encoder


def _open_store(
    path: Path, plan: EmbeddingPlan, header: StoreHeader, names: list[tuple[str, str, int]]
) -> list[int] | None:
    """Shards that are still to be computed; None when the store is complete."""
    if not path.exists():
        create_store(path, plan, header, names)
    present = read_header(path)
    check_same_plan(path, present, header)
    if present.complete:
        shutil.rmtree(path / PARTS, ignore_errors=True)  # a kill after the last commit leaves the records behind
        return None
    done = committed_shards(path, plan)
    if done:
        log.info("%d of %d shards are committed and verified", len(done), plan.num_shards)
    return [shard for shard in range(plan.num_shards) if shard not in done]


def _fill(
    config: SnwConfig, runtime: Runtime, encoder: Encoder, plan: EmbeddingPlan, shards: list[int], fence: Fence
) -> None:
    """Compute and commit this rank's share of `shards`; a stop request is honoured between them."""
    records = JsonLines(config.run_folder / "embedding" / f"rank_{runtime.topology.rank:05d}.jsonl")
    done = 0
    for unit in claim_units(runtime.comm, f"embed-{runtime.attempt}", len(shards)):
        if _stop_requested(runtime):
            break
        shard, started = shards[unit], time.monotonic()
        sequences = [plan.sequences[i] for i in plan.shard_sequences(shard)]
        rows = encoder.embed(sequences)
        fence.check()
        size = commit_shard(config.store_path, plan, shard, rows, config.store.dtype)
        seconds = time.monotonic() - started
        records.write(
            {
                "shard": shard,
                "residues": len(rows),
                "bytes": size,
                "seconds": seconds,
                "attempt": runtime.attempt,
            }
        )
        done += 1
        runtime.progress.update("embed", done, len(shards), "shards", residues_per_s=len(rows) / seconds)
    runtime.progress.update("embed", done, len(shards), "shards", force=True)
    records.close()
    if runtime.comm.any(_stop_requested(runtime)):
        raise Preempted("asked to stop; committed shards are kept, start the same command again to go on")


def _stop_requested(runtime: Runtime) -> bool:
    """This rank or another was asked to stop; the ranks work apart, so the word passes through the store."""
    key = f"embed-{runtime.attempt}-stop"
    if runtime.guard.requested:
        runtime.comm.store.set(key, "1")
    runtime.guard.mark_boundary()
    return bool(runtime.comm.store.check([key]))
