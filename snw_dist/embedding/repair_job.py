"""The jobs behind `embed --verify` and `embed --repair`: all ranks look at the shards, rank 0 at the rest."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpc.errors import CorruptError
from hpc.job.runtime import Runtime
from hpc.ranks.work_queue import claim_units, shared_counter
from hpc.save.fence import Fence, claimed_together
from snw_dist.config import config_from_dict
from snw_dist.data.prepared import load_prepared
from snw_dist.data.tables import SUMMARY
from snw_dist.embedding.encoder import Encoder
from snw_dist.embedding.run import OWNER, input_tables, prepare_encoder
from snw_dist.embedding.store.dtypes import torch_dtype
from snw_dist.embedding.store.header import REPAIR, StoreHeader, check_same_plan, no_store
from snw_dist.embedding.store.names import check_against_input, check_parts
from snw_dist.embedding.store.part_names import RECORDS, part_paths
from snw_dist.embedding.store.part_plan import PartPlan, Tables, replan_part
from snw_dist.embedding.store.repair import repair_files
from snw_dist.embedding.store.verify import Damage, load_tables, verify_files, verify_shard
from snw_dist.embedding.store.writer import ShardWriter

log = logging.getLogger(__name__)
_SHOWN = 20
_ROUND = itertools.count()  # a counter is made for each look at a part; the ranks make them in the same order


def run_verification(values: dict[str, Any], runtime: Runtime) -> None:
    """Entry point: check every byte of a store; raises `CorruptError` naming what is damaged."""
    config = config_from_dict(values)
    store = config.store_path
    parts, damage = {}, []
    for part in _parts(store, runtime):
        header, found = _verify(part, runtime)
        damage += found
        if header is not None:
            parts[part] = header
    if damage:
        shown = "\n".join(map(str, damage[:_SHOWN])) + ("\n..." if len(damage) > _SHOWN else "")
        raise CorruptError(f"{len(damage)} damaged:\n{shown}\n{REPAIR}")
    runtime.comm.on_rank_0(lambda: _check_meaning(parts, config.data_folder))
    log.info("%s: every checksum, row and count is right", store)


def _check_meaning(parts: Mapping[Path, StoreHeader], data: Path) -> None:
    check_parts(parts)
    if not (data / SUMMARY).exists():
        log.warning("%s: no prepared data here, so what the ids stand for is not checked", data)
        return
    tables = dict(input_tables(load_prepared(data)))
    for part, header in parts.items():
        check_against_input(part, header, tables, data)


def run_repair(values: dict[str, Any], runtime: Runtime) -> None:
    """Entry point: make again what is damaged, and nothing else; raises `CorruptError` if that does not mend it."""
    config = config_from_dict(values)
    parts = _parts(config.store_path, runtime)
    tables: Tables = ()
    encoder: Encoder | None = None
    for number, part in enumerate(parts):
        header, damage = _verify(part, runtime)
        if not damage:
            continue
        if encoder is None:
            tables = input_tables(load_prepared(config.data_folder))
            encoder = prepare_encoder(config, runtime, tables)
        sound = header is not None and not any(item.file.startswith("digests/") for item in damage)
        sizes = config.store.shard_rows, config.store.chunk_rows
        planned = replan_part(config.store_path, number, len(parts), tables, sound, *sizes)
        wanted = planned.header(encoder.facts, config.store.dtype, encoder.model.row_width)
        if header is None:
            damage += _verify_shards(part, wanted, runtime)
        else:
            check_same_plan(part, header, wanted)
        claim = functools.partial(Fence, part / RECORDS, runtime.attempt, OWNER)
        with claimed_together(runtime.comm, claim) as fence:
            try:
                shards = [item.shard for item in damage if item.shard is not None]
                _repair_shards(runtime, encoder, planned, wanted, shards, fence)
                runtime.comm.on_rank_0(functools.partial(repair_files, planned, header or wanted, damage, fence.work))
            finally:
                if runtime.comm.rank == 0:
                    fence.release()  # or its heart might write into the folder while it is removed
                    shutil.rmtree(part / RECORDS, ignore_errors=True)
        left = _verify(part, runtime)[1]
        if left:
            raise CorruptError(f"{part}: still damaged after mending: {left[0]}")
        log.info("%s: mended %s", part, ", ".join(item.file for item in damage[:_SHOWN]))
    log.info("%s: every checksum, row and count is right", config.store_path)


def _parts(store: Path, runtime: Runtime) -> list[Path]:
    def look() -> list[str]:
        found = part_paths(store)
        if not (store / "residues").is_dir():
            raise no_store(store)
        return [str(part) for part in found]

    return [Path(part) for part in runtime.comm.on_rank_0(look)]


def _verify(part: Path, runtime: Runtime) -> tuple[StoreHeader | None, list[Damage]]:
    """Collective: the header where it is sound, and all damage of a part, the same on all ranks."""

    def look() -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
        header, damage = verify_files(part)
        return header if header is None else dataclasses.asdict(header), [dataclasses.asdict(item) for item in damage]

    facts, found = runtime.comm.on_rank_0(look)
    header = None if facts is None else StoreHeader(**facts)
    damage = [Damage(**item) for item in found]
    return header, damage + (_verify_shards(part, header, runtime) if header is not None else [])


def _verify_shards(part: Path, header: StoreHeader, runtime: Runtime) -> list[Damage]:
    tables = load_tables(part, header)
    found: list[Damage] = []
    with shared_counter(runtime.comm, f"verify-{next(_ROUND)}", runtime.mpi) as counter:
        done = 0
        for shard in claim_units(runtime.comm, counter, header.num_shards):
            done += 1
            damage = verify_shard(part, header, tables, shard)
            found += [damage] if damage else []
            runtime.guard.mark_boundary()
            runtime.progress.update("verify", done, header.num_shards, "shards")
        runtime.progress.update("verify", done, header.num_shards, "shards", force=True)
    everybody = runtime.comm.gather([dataclasses.asdict(item) for item in found])
    return sorted((Damage(**item) for rank in everybody for item in rank), key=lambda item: item.file)


def _repair_shards(
    runtime: Runtime, encoder: Encoder, planned: PartPlan, header: StoreHeader, shards: list[int], fence: Fence
) -> None:
    part, plan, on_gpu = planned.path, planned.plan, encoder.model.device.type == "cuda"
    with (
        ShardWriter(part, plan, header.row_width, torch_dtype(header.logical_dtype), fence, on_gpu) as writer,
        shared_counter(runtime.comm, f"repair-{next(_ROUND)}", runtime.mpi) as counter,
    ):
        claimed = (shards[unit] for unit in claim_units(runtime.comm, counter, len(shards)))
        tasks = ((shard, [plan.sequences[i] for i in plan.shard_sequences(shard)]) for shard in claimed)
        for batch in encoder.embed_tasks(tasks, lambda: writer.buffer):
            runtime.guard.mark_boundary()
            if batch.ends:
                writer.commit(batch.task)
    runtime.comm.barrier()
